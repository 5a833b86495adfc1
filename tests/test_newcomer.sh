#!/bin/sh
# A newcomer with the wheel, an empty folder, and a table of their own in which one column is filled
# wrongly: the errors on the way, the mended table, fit, report, proposal. Every message is checked.
#
#     sh tests/test_newcomer.sh [path of the command claude-pymc]
set -eu
command=${1:-claude-pymc}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
start=$(date +%s)

# says CODE TEXT -- ARGUMENTS: run the command, compare its exit code, look for each line of TEXT.
says() {
    wanted=$1 text=$2
    shift 3
    code=0
    "$command" "$@" >said 2>&1 || code=$?
    if [ "$code" != "$wanted" ]; then
        echo "claude-pymc $*: exit code $code, expected $wanted; it said:"
        cat said
        exit 1
    fi
    printf '%s\n' "$text" | while IFS= read -r line; do
        tr '\n' ' ' <said | tr -s ' ' | grep -qF -- "$line" || {
            echo "claude-pymc $*: no '$line' in what it said:"
            cat said
            exit 1
        }
    done
    ! grep -q Traceback said || {
        cat said
        exit 1
    }
    echo "ok: claude-pymc $*"
}

# nothing_but FILES: the folder holds these and no more.
nothing_but() {
    found=$(ls | grep -v '^said$' | tr '\n' ' ')
    [ "$found" = "$1 " ] || {
        echo "expected the files $1, found $found"
        exit 1
    }
}

# Gaps of a solid solution: calculated everywhere, measured in some places, one cell not a number.
awk 'BEGIN {
    srand(7)
    print "sample,composition,temperature,gap_sim,gap_exp"
    for (i = 1; i <= 40; i++) {
        x = rand(); t = 300 + 500 * rand()
        g = 2 + 1.5 * x - 1.2 * x * x - 0.0006 * (t - 300)
        sim = g + 0.05 * (rand() - 0.5)
        measured = i % 3 ? "" : sprintf("%.3f", 1.1 * sim + 0.4 + 0.06 * (rand() - 0.5))
        if (i == 9) measured = "n.d."
        printf "S%d,%.3f,%.0f,%.3f,%s\n", i, x, t, sim, measured
    }
}' >gaps.csv

cat >study.toml <<'END'
title = "Gaps of a solid solution"
description = "Which composition has the smallest measured gap?"

[data]
descriptors = ["composition", "temprature"]
targets = ["gap_sim", "gap_exp"]
labels = "sample"

[units]
temperature = "K"
gap_sim = "eV"
gap_exp = "eV"

[basis]
kind = "polynomial"
degree = 2

[objective]
minimise = "gap_exp"

[wants]
gap_exp = 2
gap_sim = 1
END

says 0 'fit
predict
propose
report' -- --help
says 2 "Missing option '--study'" -- fit gaps.csv --out fit
says 2 "a study file at 'studie.toml'
no such file" -- fit gaps.csv --study studie.toml --out fit
says 2 "'minimise'
did you mean 'minimize'" -- fit gaps.csv --study study.toml --out fit
sed -i.bak 's/minimise/minimize/' study.toml
says 2 "'temperature'
did you mean 'temprature'" -- fit gaps.csv --study study.toml --out fit
sed -i.bak 's/temprature/temperature/' study.toml
says 2 "a CSV file at 'gap.csv'
no such file" -- fit gap.csv --study study.toml --out fit
says 2 "expected a number or an empty cell in column 'gap_exp'
'n.d.' in line 10 of gaps.csv
to do correct the cell, or leave it empty" -- fit gaps.csv --study study.toml --out fit
nothing_but 'gaps.csv study.toml study.toml.bak'

sed -i.bak 's/,n\.d\.$/,/' gaps.csv
says 0 "Gaps of a solid solution: 40 rows, 40 of gap_sim, 12 of gap_exp
passed draws 4 of 4
gap_exp = c * gap_sim
Predicting 12 measured values of gap_exp that were hidden
Predicted gap_exp [eV] where it was not measured
Proposed next
Aim: minimize gap_exp
Written to fit" -- fit gaps.csv --study study.toml --out fit
says 2 "an output folder that does not exist yet
add --overwrite" -- fit gaps.csv --study study.toml --out fit

says 0 "passed draws 4 of 4
Written to fit/report.html" -- report fit
grep -q '<h1>Gaps of a solid solution</h1>' fit/report.html
grep -q 'Which composition has the smallest measured gap?' fit/report.html
[ "$(wc -c <fit/report.html)" -lt 3000000 ]
says 2 "a report that does not exist yet
the command: --overwrite" -- report fit

says 0 "Proposed next
gap_exp [eV]" -- propose fit --want gap_exp=2 --out next.csv
[ "$(wc -l <next.csv)" = 3 ]
says 2 "next.csv exists; choose another name, or add --overwrite" -- propose fit --out next.csv
printf 'composition,temperature\n0.2,400\n0.9,650\n' >places.csv
says 0 "Predicted gap_exp [eV]
90 %" -- predict fit --at places.csv --out predicted.csv
[ "$(wc -l <predicted.csv)" = 3 ]

took=$(($(date +%s) - start))
[ "$took" -lt 300 ] || {
    echo "all of it took $took s, more than 300 s"
    exit 1
}
echo "all of it took $took s"
