"""Tells when a module has been imported, without changing how it is imported or what is seen of it."""

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, Callable, Dict, Optional, Sequence


class Watcher:
    """A finder that goes away once every module it waits for was imported."""

    def __init__(self, hooks: Dict[str, Callable[[ModuleType], None]]) -> None:
        self._hooks = hooks

    def begin(self) -> None:
        """Stand before the other finders."""
        sys.meta_path.insert(0, self)

    def find_spec(
        self, name: str, path: Optional[Sequence[str]] = None, target: Optional[ModuleType] = None
    ) -> Optional[ModuleSpec]:
        """Return what the other finders find, with a loader that tells us; None for all other modules."""
        if name not in self._hooks:
            return None
        for finder in list(sys.meta_path):
            find = None if finder is self else getattr(finder, "find_spec", None)
            spec: Any = find(name, path, target) if find else None
            if spec is None:
                continue
            if hasattr(spec.loader, "exec_module"):
                spec.loader = Loader(spec.loader, self)
            found: ModuleSpec = spec
            return found
        return None

    def imported(self, module: ModuleType) -> None:
        """Call the hook of ``module``, whose code has run."""
        hook = self._hooks.pop(module.__name__, None)
        if not self._hooks and self in sys.meta_path:
            sys.meta_path.remove(self)
        if hook is not None:
            hook(module)


class Loader:
    """Stands for a module's own loader until the module's code runs; has all that the other has."""

    def __init__(self, loader: Any, watcher: Watcher) -> None:
        self._loader = loader
        self._watcher = watcher

    def __getattr__(self, name: str) -> Any:
        """Return what the module's own loader has of this name."""
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> Optional[ModuleType]:
        """Return what the module's own loader makes."""
        module: Optional[ModuleType] = self._loader.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Give the module its own loader back, run its code, and tell."""
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        module.__loader__ = self._loader
        self._loader.exec_module(module)
        self._watcher.imported(module)
