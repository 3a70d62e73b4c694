"""Installs the folders of this checkout as ``dmmlab.<folder>``; everything else is in pyproject.toml."""

from setuptools import find_packages, setup

FOLDERS = ("machine", "topologies", "controllers", "nodes", "guest", "experiments")
FOUND = find_packages(include=[pattern for folder in FOLDERS for pattern in (folder, f"{folder}.*")])

setup(
    packages=[f"dmmlab.{name}" for name in FOUND],
    package_dir={f"dmmlab.{folder}": folder for folder in FOLDERS},
    package_data={
        "dmmlab.guest": ["*.config", "*.sh", "*.c", "*.h", "*.patch"],
        "dmmlab.machine": ["*.sh"],
        "dmmlab.nodes.daemons": ["templates/*"],
        "dmmlab.nodes.mobility": ["*.c"],
        "dmmlab.experiments.scenario": ["shipped/*.yaml"],
        "dmmlab.experiments.report": ["templates/*"],
    },
)
