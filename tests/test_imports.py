"""What a program is made of."""

from resnet.imports import library


def test_imports_are_followed_wherever_they_stand_but_for_types(tmp_path):
    lazy = (
        "def door():\n    try:\n        from house.cellar import wine\n    except ImportError:\n        import attic\n"
    )
    for name, text in {
        "program.py": "import json\nfrom house.hall import door\n",
        "house/__init__.py": "",
        "house/hall.py": lazy,
        "house/cellar/__init__.py": "",
        "house/cellar/wine.py": "if TYPE_CHECKING:\n    from house.guests import Guest\n",
        "house/cellar/wine.yaml.j2": "{{ year }}",
        "house/guests.py": "",
        "house/stable.py": "import house.hall\n",
        "attic.py": "import program\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert library(str(tmp_path / "program.py")) == [
        str(tmp_path / name)
        for name in (
            "attic.py",
            "house/__init__.py",
            "house/cellar/__init__.py",
            "house/cellar/wine.py",
            "house/cellar/wine.yaml.j2",
            "house/hall.py",
            "program.py",
        )
    ]
