#!/bin/sh
# Adds the servers and programs that the integration tests talk to, where that can be done without asking:
# on Debian or Ubuntu, as root. Elsewhere it says what is left out and the one command that adds it.
set -eu

packages="orthanc orthanc-dicomweb dcmtk dicom3tools postgresql chromium nginx systemd sqlite3"
command="apt-get install --yes --no-install-recommends $packages"

missing=""
command -v Orthanc >/dev/null 2>&1 || [ -x /usr/sbin/Orthanc ] || missing="$missing orthanc"
[ -e /usr/share/orthanc/plugins/libOrthancDicomWeb.so ] || missing="$missing orthanc-dicomweb"
command -v dcmdump >/dev/null 2>&1 || missing="$missing dcmtk"
command -v dciodvfy >/dev/null 2>&1 || missing="$missing dicom3tools"
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing="$missing postgresql"
command -v chromium >/dev/null 2>&1 || missing="$missing chromium"
command -v nginx >/dev/null 2>&1 || [ -x /usr/sbin/nginx ] || missing="$missing nginx"
command -v systemd-analyze >/dev/null 2>&1 || missing="$missing systemd"
command -v sqlite3 >/dev/null 2>&1 || missing="$missing sqlite3"
[ -n "$missing" ] || exit 0

# Our own word on clusters goes again, and the package's, which ucf laid beside it, takes its place.
give_back() {
    rm -f "$1"
    [ ! -e "$1.ucf-dist" ] || mv "$1.ucf-dist" "$1"
}

if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null 2>&1; then
    # The tests start servers of their own: no service of the packages may start, nor a database cluster be made.
    clusters=/etc/postgresql-common/createcluster.conf
    if [ ! -e "$clusters" ]; then
        mkdir -p "${clusters%/*}"
        echo "create_main_cluster = false" >"$clusters"
        trap 'give_back "$clusters"' EXIT
    fi
    export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
    apt-get update --quiet --quiet
    # shellcheck disable=SC2086 # a list of words
    apt-get install --yes --quiet --quiet --no-install-recommends $missing >/dev/null
    exit 0
fi

echo "Not installed here, so the integration tests that need them are left out:$missing"
echo "On Debian or Ubuntu this adds them:  sudo $command"
