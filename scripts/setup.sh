#!/usr/bin/env bash
# Installs what building Sluice needs on Debian 12 or a later Debian or Ubuntu, as root or through sudo. Says nothing
# and changes nothing where all of it is there. Elsewhere it names what is needed.
set -euo pipefail

packages=(
  ca-certificates git g++ cmake ninja-build ccache python3 python3-pip
  libboost-dev libboost-program-options-dev libtomlplusplus-dev libfmt-dev
  nlohmann-json3-dev libsimdjson-dev libicu-dev libsqlite3-dev libssl-dev libgtest-dev libgmock-dev
  python3-dev python3-numpy # for the evictor `python`, which is left out without them
)

# Tools that came another way than by a package are as good.
provided() {
  case $1 in
    git | ccache | cmake | python3 | g++) command -v "$1" ;;
    ninja-build) command -v ninja ;;
    python3-pip) python3 -m pip --version ;;
    *) false ;;
  esac > /dev/null 2>&1
}

if ! command -v apt-get > /dev/null; then
  echo "setup: no apt-get here; on Debian 12 these packages are what Sluice needs: ${packages[*]}" >&2
  exit 0
fi

missing=()
for package in "${packages[@]}"; do
  provided "$package" && continue
  status=$(dpkg-query --show --showformat='${db:Status-Abbrev}' "$package" 2> /dev/null || true)
  [[ $status == ii* ]] || missing+=("$package")
done

if ((${#missing[@]})); then
  as_root=()
  if ((EUID)); then
    if ! command -v sudo > /dev/null; then
      echo "setup: run as root, or install these first: ${missing[*]}" >&2
      exit 1
    fi
    as_root=(sudo)
  fi
  echo "setup: installing ${missing[*]}" >&2
  "${as_root[@]}" apt-get update -qq
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "${missing[@]}" > /dev/null
fi

version=$(cmake --version | head -n 1 | grep -oE '[0-9]+\.[0-9]+' | head -n 1)
if [[ $(printf '%s\n' 3.25 "$version" | sort -V | head -n 1) != 3.25 ]]; then
  echo "setup: CMake $version is too old, 3.25 is needed (pip install cmake has it)" >&2
  exit 1
fi
