"""Check the page's modules with TypeScript's checker: their types are in JSDoc, nothing is built.

The modules are copied beside the type declarations that the vendored libraries publish.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from tests.browser.packages import PREACT, TYPESCRIPT, UPLOT, NotFetched, fetched, has_node

STATIC: Final = Path(__file__).resolve().parents[2] / "stream/dashboard/static"
HTM_TYPES: Final = """
declare const htm: {
  bind<Node>(create: (type: any, props: any, ...children: any[]) => Node):
    (parts: TemplateStringsArray, ...values: unknown[]) => Node;
};
export default htm;
"""


def check() -> int:
    """0 when every module has the types it says, else 1; what is wrong is printed. Raises NotFetched."""
    compiler = fetched(TYPESCRIPT) / "bin/tsc"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copytree(STATIC / "js", folder / "js")
        _declare_libraries(folder / "vendor")
        (folder / "tsconfig.json").write_text(json.dumps(_options()), encoding="utf-8")
        done = subprocess.run(["node", str(compiler), "--project", name], cwd=folder, check=False)
        return 1 if done.returncode else 0


def _declare_libraries(folder: Path) -> None:
    folder.mkdir()
    preact, uplot = fetched(PREACT), fetched(UPLOT)
    lines = {
        "preact": f'export * from "{preact}/src/index";',
        "hooks": f'export * from "{preact}/hooks/src/index";',
        "uplot": f'import uPlot from "{uplot}/dist/uPlot";\nexport default uPlot;',
        "htm": HTM_TYPES,
    }
    for name, text in lines.items():
        (folder / f"{name}.d.ts").write_text(text, encoding="utf-8")


def _options() -> dict[str, Any]:
    preact = str(fetched(PREACT) / "src/index")
    return {
        "compilerOptions": {
            "allowJs": True, "checkJs": True, "noEmit": True, "strict": True, "skipLibCheck": True,
            "noUncheckedIndexedAccess": True, "noImplicitReturns": True, "noUnusedLocals": True,
            "target": "es2022", "module": "esnext", "moduleResolution": "bundler",
            "lib": ["es2023", "dom", "dom.iterable"], "types": [],
            "paths": {"preact": [preact]},
        },
        "include": ["js/**/*.js"],
    }  # fmt: skip


def main() -> int:
    if not has_node():
        print("not run: there is no node (Debian: apt-get install nodejs npm)")
        return 0
    try:
        return check()
    except NotFetched as error:
        print(f"latido: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
