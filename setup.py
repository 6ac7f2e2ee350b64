"""What pyproject.toml cannot say: the weights lie beside the package in a checkout, and within it once installed."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["ecenet", "ecenet.*"]), "ecenet.shipped"],
    package_dir={"ecenet.shipped": "weights"},
)
