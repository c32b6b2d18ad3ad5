import ast

from headrace.project.reading import read_source


def read(tmp_path, text, package="pkg.room"):
    return read_source(ast.parse(text), tmp_path / "module.py", package)


def imports(tmp_path, text):
    return [(found.module, found.line) for found in read(tmp_path, text).imports]


def test_relative_imports_are_made_absolute(tmp_path):
    text = "from . import a\nfrom .b import c\nfrom ..d import *\nfrom .. import e\n"

    assert imports(tmp_path, text) == [("pkg.room.a", 1), ("pkg.room.b.c", 2), ("pkg.d", 3), ("pkg.e", 4)]


def test_a_module_imported_by_its_text_counts(tmp_path):
    """A literal given to importlib is an import that a plain search would miss."""
    assert imports(tmp_path, "import importlib\nimportlib.import_module('a.b')\nimportlib.import_module(name)\n")[1:] == [
        ("a.b", 2)
    ]


def test_only_resolve_of_plugins_is_a_lookup(tmp_path):
    """Path.resolve() is everywhere."""
    text = "from headrace.plugins import resolve\nx = resolve('networks', name, 'build', where='train.network')\n"
    (found,) = read(tmp_path, text).lookups

    assert (found.room, found.key, found.line) == ("networks", "train.network", 2)
    assert read(tmp_path, "path.resolve('a')\n").lookups == ()


def test_an_import_by_a_computed_name_is_a_lookup_of_nothing_known(tmp_path):
    assert [found.room for found in read(tmp_path, "import importlib\nimportlib.import_module(name)\n").lookups] == [""]


def test_constants_in_capitals_are_kept(tmp_path):
    assert read(tmp_path, "PROGRAM = 'a'\nLOSS: str = 'b'\nother = 'c'\nNUMBER = 1\n").constants == ("a", "b")


def test_files_beside_the_module_are_data(tmp_path):
    """A template's text ends in an output; a folder of code is no data."""
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages/a.html").write_text("")
    (tmp_path / "code").mkdir()
    (tmp_path / "code/b.py").write_text("")

    assert [
        data.module for data in read(tmp_path, "x = ['pages', 'code', 'pages/a.html', 'code/b.py', 'none', '../up']\n").data
    ] == [
        "pages",
        "pages/a.html",
    ]
