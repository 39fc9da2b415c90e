"""The stand-in internet's names: what release mode asks for, and where each of them is.

Addresses of a link inside the machine's own network namespace; nothing outside it can reach them.
"""

from pathlib import Path

# The certificate authorities that a Debian machine trusts.
BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
HTTPS = 443
RESOLVER = "10.77.0.1"
RELEASES = "10.77.0.2"
IMAGES = "10.77.0.3"
PROXY = ("10.77.0.4", 3128)
RELEASE_HOSTS = ("dl.k8s.io", "kind.sigs.k8s.io", "github.com", "release-assets.githubusercontent.com")
IMAGE_HOSTS = ("registry-1.docker.io", "auth.docker.io", "production.cloudflare.docker.com")
ADDRESSES = dict.fromkeys(RELEASE_HOSTS, RELEASES) | dict.fromkeys(IMAGE_HOSTS, IMAGES)
