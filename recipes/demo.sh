#!/usr/bin/env bash
# What `make demo` runs: the main job end to end, twice.  Every line is a command that a user would type; what an
# earlier run has made is kept.
set -euo pipefail
cd "$(dirname "$0")/.."
say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
absent() { [ ! -e "$1" ]; }
resume() { absent "runs/$1/recipe.yaml" || echo --resume; }

say '1/2  The synthetic story world: generate, build shards, train, evaluate on held-out stories, align one of them'
weaksync data world --out demo/world --language en --stories 200
absent demo/shards/manifest.json && weaksync data build story --shots content --size 64 \
    --videos demo/world/videos --subtitles demo/world/subtitles/en --language en \
    --annotations demo/world/annotations/en.json --splits demo/world/splits.json --out demo/shards
weaksync data stats demo/shards --figure demo/stats.png
weaksync train story/quickstart $(resume quickstart)
story=$(python -c 'import json; print(json.load(open("demo/world/splits.json"))["test"][0])')
weaksync align --model runs/quickstart "demo/world/videos/$story.mp4" "demo/world/subtitles/en/$story.srt" \
    --shots content --out demo/aligned
weaksync eval runs/quickstart --split test --out demo/evaluation

say '2/2  The same path on real video: build, a few training steps, evaluate, align'
python tests/real_clips/collect.py demo/real
absent demo/real/shards/manifest.json && weaksync data build story --language en \
    --videos demo/real/videos --subtitles demo/real/subtitles --annotations tests/real_clips/annotations.json \
    --splits tests/real_clips/splits.json --out demo/real/shards
weaksync train story/quickstart $(resume real-clips) name=real-clips data.shards=demo/real/shards data.global_batch=1 \
    trainer.max_epochs=2
weaksync align --model runs/real-clips demo/real/videos/bikes.mp4 demo/real/subtitles/bikes.srt --out demo/real/aligned
weaksync eval runs/real-clips --split test --out demo/real/evaluation

say 'Look at demo/aligned/report.html, demo/evaluation/report.html and demo/real/aligned/report.html'
