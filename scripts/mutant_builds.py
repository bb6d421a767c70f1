"""Builds mutants of the built-in policies for scripts/mutants.py: which plugins a file is part of, the one compiler
line each source takes, and whether an object differs from the original's at all. Nothing is written outside of the
work folder."""
import hashlib
import pathlib
import re
import shutil
import subprocess
import tempfile

from mutant_sites import mutated

# Headers of plugins/sluice that policies are made of. The others are the boundary itself, whose text is hashed, and
# the kernels, of which a check runs one table of several; their tests compare all of them with references.
PARTS = ['affine.hpp', 'affine_block.hpp', 'guard.hpp', 'order.h']
# A swapped pointer is not to get through with a warning.
FLAGS = ['-O2', '-DNDEBUG', '-fPIC', '-fvisibility=hidden', '-ffp-contract=off', '-w',
         '-Werror=incompatible-pointer-types', '-Werror=int-conversion']
DIALECTS = {'.c': ['-std=c11', '-Werror=implicit-function-declaration'], '.cpp': ['-std=c++20']}


class Tree:
    """The sources that mutants are made of, and what they are built into."""

    def __init__(self, root):
        self.root = pathlib.Path(root)
        self.plugins = {}  # name -> its sources, relative to the root
        text = (self.root / 'policies/CMakeLists.txt').read_text()
        for name, sources in re.findall(r'^sluice_add_plugin\((\w+) ([^)]+)\)', text, re.MULTILINE):
            self.plugins[name] = [f'policies/{source}' for source in sources.split()]
        self.reads = {source: self.closure(source) for sources in self.plugins.values() for source in sources}

    def closure(self, file):
        """A source and the files of this tree that it includes."""
        found, open_files = set(), [file]
        while open_files:
            file = open_files.pop()
            if file in found:
                continue
            found.add(file)
            for included in re.findall(r'^#include "([^"]+)"', (self.root / file).read_text(), re.MULTILINE):
                near = (pathlib.Path(file).parent / included).as_posix()
                open_files.append(near if (self.root / near).is_file() else f'plugins/{included}')
        return found

    def files(self):
        """All that may be mutated."""
        files = {file for closure in self.reads.values() for file in closure}
        return sorted(file for file in files
                      if file.startswith('policies/') or pathlib.Path(file).name in PARTS)

    def trace(self, name):
        """What the plugin is known to do; goes along with its library."""
        return self.root / pathlib.Path(self.plugins[name][0]).parent / f'{name}.trace.json'

    def plugins_with(self, file):
        return [name for name, sources in self.plugins.items() if any(file in self.reads[s] for s in sources)]


class Builder:
    def __init__(self, tree, work, compilers):
        self.tree, self.work, self.compilers = tree, pathlib.Path(work), compilers  # by suffix of the source
        self.makers = {}  # by suffix: all that an object depends on but its sources
        for suffix, compiler in compilers.items():
            version = subprocess.run([compiler, '--version'], stdout=subprocess.PIPE, text=True, check=True).stdout
            self.makers[suffix] = repr((str(compiler), version, DIALECTS[suffix], FLAGS))

    def compile(self, root, source, target):
        suffix = pathlib.Path(source).suffix
        line = [self.compilers[suffix], *DIALECTS[suffix], *FLAGS, '-I', root / 'plugins', '-c', root / source, '-o',
                target]
        return subprocess.run(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)

    def original(self, source):
        """The object of a source as it is. Its name says what it was made of and how: work folders are shared by trees."""
        key = hashlib.sha256(self.makers[pathlib.Path(source).suffix].encode())
        for file in sorted(self.tree.reads[source]):
            key.update(f'\n{file}\n'.encode() + (self.tree.root / file).read_bytes())
        target = self.work / 'originals' / f'{source.replace("/", ".")}.{key.hexdigest()[:16]}.o'
        if not target.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=target.parent) as folder:  # another thread may be at it
                part = pathlib.Path(folder) / 'original.o'
                done = self.compile(self.tree.root, source, part)
                if done.returncode:
                    raise SystemExit(f'{source} does not compile as it is:\n{done.stdout}')
                part.rename(target)
        return target

    def link(self, objects, name, target):
        target.parent.mkdir(parents=True, exist_ok=True)
        compiler = self.compilers[pathlib.Path(self.tree.plugins[name][0]).suffix]
        exports = self.tree.root / 'plugins/cmake/plugin_exports.map'
        subprocess.run([compiler, '-shared', *objects, '-o', target, f'-Wl,--version-script={exports}',
                        '-Wl,-z,nodelete'], check=True)
        if self.tree.trace(name).is_file():
            shutil.copy(self.tree.trace(name), target.parent)
        return target

    def library(self, name, folder):
        """The plugin as it is."""
        return self.link([self.original(source) for source in self.tree.plugins[name]], name,
                         folder / f'{name}.sluice.so')

    def build(self, site, folder):
        """Yields (state, plugin's name, library or None) for every plugin that the file is part of, as it is asked for:
        'built', 'same code' as the original's, 'does not compile'."""
        shutil.rmtree(folder, ignore_errors=True)
        overlay = folder / 'tree'
        plugins = self.tree.plugins_with(site.file)
        # Whatever is compiled stands in the same tree as the mutated file, so that it finds that one and no other.
        for file in set().union(*(self.tree.reads[source] for name in plugins for source in self.tree.plugins[name])):
            (overlay / file).parent.mkdir(parents=True, exist_ok=True)
            if file == site.file:
                (overlay / file).write_text(mutated((self.tree.root / file).read_text(), site))
            else:
                (overlay / file).symlink_to(self.tree.root / file)
        for name in plugins:
            yield self.build_plugin(site, name, folder)

    def build_plugin(self, site, name, folder):
        objects, differs = [], False
        for source in self.tree.plugins[name]:
            original = self.original(source)
            if site.file not in self.tree.reads[source]:
                objects.append(original)
                continue
            target = folder / (source.replace('/', '.') + '.o')
            if self.compile(folder / 'tree', source, target).returncode:
                return 'does not compile', name, None
            differs |= target.read_bytes() != original.read_bytes()
            objects.append(target)
        if not differs:
            return 'same code', name, None
        return 'built', name, self.link(objects, name, folder / name / f'{name}.sluice.so')
