# SPDX-License-Identifier: GPL-3.0-or-later
# Completion for bash: source it, or install it as
# /usr/share/bash-completion/completions/hostkit. It asks hostkit itself what there is.

# The second column of `hostkit list`, and with "both" the first one too.
_hostkit_names() {
    "${COMP_WORDS[0]}" list "$1" 2> /dev/null | awk -v both="$2" 'NR > 2 { print $2; if (both) print $1 }'
}

_hostkit() {
    local program=${COMP_WORDS[0]} command=${COMP_WORDS[1]-}
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
    local options="" takes="" given="" words="" action=""
    if [[ $command == image || $command == storage ]] && ((COMP_CWORD > 2)); then
        [[ ${COMP_WORDS[2]} == -* ]] || action=${COMP_WORDS[2]}
    fi
    if ((COMP_CWORD > 1)); then # the first column of the lines that describe options
        options=$("$program" "$command" ${action:+"$action"} --help 2> /dev/null |
            sed -n 's/^  \(-.*\)/\1/p' | sed 's/  .*//')
        [[ $before == -* ]] && takes=$(sed -n "s/^\(.*, \)*$before \(.*\)/\2/p" <<< "$options")
    fi
    if ((COMP_CWORD == 1)); then
        words=$("$program" --help 2> /dev/null | sed -n 's/^  \([a-z]*\)  .*/\1/p')
        words+=" --help --version"
    elif [[ $word == -* ]]; then
        words=$(grep -oE -- '--[a-z-]+' <<< "$options")
    elif [[ $takes == "{"* ]]; then
        words=$(tr '{,}' ' ' <<< "$takes")
    elif [[ $takes == NAMES ]]; then
        given=${word%"${word##*,}"} # what stands before the last comma
        words=$(_hostkit_names problems both && _hostkit_names checks)
    elif [[ -n $takes ]]; then
        words="" # a file
    elif [[ $command == explain || $command == fix ]]; then
        words=$(_hostkit_names problems)
    elif [[ $command == list ]]; then
        words="checks problems"
    elif [[ $command == image || $command == storage ]] && ((COMP_CWORD == 2)); then
        words=$("$program" "$command" --help 2> /dev/null |
            sed -n '/^actions:/,/^$/s/^  \([a-z]*\)  .*/\1/p')
    elif [[ $action =~ ^(save|export|inspect|history|tag|rm)$ ]]; then
        words=$("$program" image ls 2> /dev/null | awk 'NR > 2 { print $NF }' | grep -v '<none>')
    elif [[ $command == undo ]]; then
        words=$("$program" undo --list 2> /dev/null | awk '/^[0-9]/ { print $1 }')
    fi
    if [[ -n $words ]]; then
        mapfile -t COMPREPLY < <(compgen -P "$given" -W "$words" -- "${word##*,}" | sort -u)
    else
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
    fi
}
complete -o filenames -F _hostkit hostkit
