# SPDX-License-Identifier: GPL-3.0-or-later
# Completion for bash: source it, or install it as
# /usr/share/bash-completion/completions/hostkit. It asks hostkit itself what there is.
_hostkit() {
    local word="${COMP_WORDS[COMP_CWORD]}" command="${COMP_WORDS[1]}" words=""
    if ((COMP_CWORD == 1)); then
        words=$(hostkit --help | awk '/^  [a-z]/ && !/hostkit/ { print $1 }')
    elif [[ $word == -* ]]; then
        words=$(hostkit "$command" --help | grep -oE -- '--[a-z-]+' | sort -u)
    elif [[ $command == explain || $command == fix ]]; then
        words=$(hostkit list problems | awk 'NR > 2 && NF > 2 && /^[a-z]/ { print $2 }')
    elif [[ $command == undo ]]; then
        words=$(hostkit undo 2>/dev/null | awk '/^[0-9]/ { print $1 }')
    elif [[ $command == list ]]; then
        words="checks problems"
    fi
    if [[ -n $words ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
    else
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
    fi
}
complete -F _hostkit hostkit
