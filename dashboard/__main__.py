"""Run the dashboard: python -m dashboard --context kind-todo --namespace todo."""

import argparse
import logging
from pathlib import Path

import uvicorn

from dashboard.cluster import Pods
from dashboard.model import Model, Settings
from dashboard.server import Service, create_app
from dashboard.tilt import Tilt


def main() -> None:
    """Serve until SIGTERM or SIGINT, on the loopback address alone."""
    arguments = _arguments()
    logging.basicConfig(format="dashboard: %(message)s", level=logging.INFO)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    tilt = Tilt(arguments.tilt_port)
    settings = Settings(
        checkout=Path.cwd(),
        project=arguments.namespace,
        page=arguments.page,
        probed=f"{arguments.page}/api/healthz",
        versions="backend",
        has_page=arguments.tilt_has_page,
    )
    model = Model(settings, tilt, Pods(arguments.context, arguments.namespace, 8000))
    app = create_app(Service(model, tilt, arguments.version), arguments.port)
    # An open page's stream has no end: it is not waited for.
    uvicorn.run(
        app, host="127.0.0.1", port=arguments.port, log_level="warning", access_log=False, timeout_graceful_shutdown=0
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="dashboard", description="Logs, state and the speed of the loop in a browser."
    )
    parser.add_argument("--port", type=int, default=10351, help="where the page is (default: %(default)s)")
    parser.add_argument("--tilt-port", type=int, default=10350, help="of Tilt's web server (default: %(default)s)")
    parser.add_argument("--tilt-has-page", action="store_true", help="link Tilt's own page, which released ones have")
    parser.add_argument("--context", required=True, help="context of the kubeconfig")
    parser.add_argument("--namespace", required=True, help="of the pods")
    parser.add_argument("--version", default="", help="what to tell of itself")
    parser.add_argument("--page", default="http://localhost:8080", help="of the application (default: %(default)s)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
