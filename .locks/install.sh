# Makes a virtual environment of a lock, for the Makefile: sh .locks/install.sh PYTHON ENVIRONMENT LOCK
#
# uv takes seconds for what pip takes a minute for, but all that it is told of pip's settings is the index and the
# authorities. If it fails, pip installs everything. A lock is whole, and leaves out what is not needed of its packages'
# dependencies.
# shellcheck shell=sh disable=SC2086
python=$1 environment=$2 lock=$3 # unquoted below, python and install may be several words
$python -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; try make PYTHON=python3.12")' || exit
echo "Making $environment, once, in about 15 seconds, or longer over a slow connection …" >&2
rm -rf "$environment"
$python -m venv "$environment" || exit

install='install --quiet --require-hashes --no-deps'
pip() { "$environment/bin/pip" --disable-pip-version-check "$@"; }
setting() { pip config list | sed -n "s/^[a-z]*\.$1='\(.*\)'/\1/p" | tail -n 1; }
index=${PIP_INDEX_URL:-$(setting index-url)}
cert=${PIP_CERT:-$(setting cert)}
by_uv() {
	pip $install -r .locks/uv.txt && env ${cert:+SSL_CERT_FILE="$cert"} UV_DEFAULT_INDEX="$index" \
		"$environment/bin/uv" pip $install --python="$environment/bin/python" -r "$lock"
}
by_uv 2>"$environment/uv.log" || {
	echo "uv could not install them ($environment/uv.log says why). pip installs them now, in a minute or more …" >&2
	pip $install -r "$lock"
}
