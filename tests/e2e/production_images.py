"""The production images hold nothing that only development needs: no reloader, no door for files.

Looked for in the running pods. usage: python3 -m tests.e2e.production_images NAMESPACE
"""

import sys

from tests.e2e.kubectl import fail, get, kubectl

COMPONENTS = ("backend", "frontend")
PATTERNS = ("*warmfork*", "*fastlane*", "*browser?reload*")
# Is in every image: what does not find it has not looked.
ALWAYS = "/etc/passwd"


def main(namespace: str) -> None:
    for component in COMPONENTS:
        pod, *_ = get(namespace, "pod", "--selector", f"app.kubernetes.io/component={component}")
        name = pod["metadata"]["name"]
        names = [word for pattern in PATTERNS for word in ("-o", "-iname", pattern)]
        find = ["find", "/", "-xdev", "-path", ALWAYS, *names]
        # Folders that the user may not read make it fail; they are the system's.
        result = kubectl("--namespace", namespace, "exec", name, "--", *find)
        found = result.stdout.splitlines()
        if ALWAYS not in found:
            fail(f"find in {name} found not even {ALWAYS}: {result.stderr.strip()}")
        found.remove(ALWAYS)
        if found:
            fail(f"{name} holds what is only for development: {', '.join(found)}")
    print(f"nothing named like {', '.join(PATTERNS)} in {' and '.join(COMPONENTS)}")


if __name__ == "__main__":
    main(sys.argv[1])
