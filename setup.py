"""Packaging. The packages are listed by rule: rtserver and what is in it, and the folder in which twistd looks for plugins
(it has no ``__init__.py``, on purpose: Twisted has its own)."""

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
VERSION = re.search(r'__version__ = "([^"]+)"', (ROOT / "rtserver/__init__.py").read_text("utf-8"))[1]

# Lower bounds are the oldest releases that the tests pass with (make test-oldest); constraints.txt has the newest ones that
# were tested.
RUNTIME = [
    "twisted[tls]>=26.4.0",
    "autobahn>=26.7.1",
    "txredisapi>=1.4.11",
    "hiredis>=3.1.0",
    "msgspec>=0.22.0",
    "pydantic>=2.14.2",
    "protobuf>=7.35.1",
    "pyjwt>=2.13.0",
    "cryptography>=46.0.7",
    "treq>=26.7.0",
    "prometheus_client>=0.21.0",
    "txpostgres>=1.7.0",
    "psycopg2-binary>=2.9.10",
    "braintree>=4.48.0",
    "requests>=2.34.0",
    "urllib3>=2.6.0",
    "social-auth-core==7.0.0",
    "python3-openid>=3.2.0",
    "argon2-cffi>=23.1.0",
    "itsdangerous>=2.2.0",
    "jinja2>=3.1.5",
]
TEST = [
    "pytest>=8.3",
    "pytest-twisted>=1.14.3",
    "hypothesis>=6.120",
    "centrifuge-python>=0.7.0",
    "cent>=5.1.0",
    "openapi-spec-validator>=0.9",
    "aiosmtpd>=1.4.6",
]
DEV = [
    *TEST,
    "pytest-xdist>=3.6",
    "ruff>=0.15",
    "mypy>=1.15",
    "types-protobuf",
    "grpcio-tools>=1.71",
]

setup(
    name="rtserver",
    version=VERSION,
    description="A realtime server on Twisted: WebSocket, HTTP and Redis fan-out in one process",
    long_description=(ROOT / "README.md").read_text("utf-8") if (ROOT / "README.md").exists() else "",
    long_description_content_type="text/markdown",
    python_requires=">=3.11",
    packages=[*find_packages(include=["rtserver", "rtserver.*"]), "twisted.plugins"],
    package_data={
        "rtserver": [
            "*.toml",
            "**/*.lua",
            "**/*.proto",
            "**/*.sql",
            "accounts/letter_templates/*",
            *(f"web/pages/**/*.{kind}" for kind in ("html", "css", "js", "svg")),
            "web/pages/vendor/*",
        ]
    },
    entry_points={"console_scripts": ["rtserver=rtserver.cli:main"]},
    install_requires=RUNTIME,
    extras_require={"test": TEST, "dev": DEV},
    zip_safe=False,
    classifiers=[
        "Framework :: Twisted",
        "Operating System :: POSIX",
        "Programming Language :: Python :: 3 :: Only",
        "Topic :: Internet :: WWW/HTTP",
    ],
)
