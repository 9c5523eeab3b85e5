# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages of iptables, ip6tables, nft, firewalld and of dockerd about them.

`No chain/target/match by that name` is printed for two opposite faults. A rule for one of
Docker's chains that uses no extension fails because the chain is gone; what names an
extension the kernel lacks says so in other words as well.
"""

from hostkit.diagnosis.finding import Certainty, Severity
from hostkit.diagnosis.signature import Signature
from hostkit_checks.firewall.zone_messages import ZONES

_NO_CHAIN = "No chain/target/match by that name"
# firewalld logs every command that fails, and to ask (-C) and to clear (-D, -F, -X) may fail:
# what counts is a command that adds, or no command at all in the text.
_ADDED = r"(?: -[AI] (?:(?! -[ACDFIX] ).){0,300}|^(?!.*COMMAND_FAILED)(?:(?! -[ACDFINX] ).)*)"
_PROBES = ("COMMAND_FAILED", " -C ", " -D ", " -F ", " -X ")
_DOCKER_RULE = (
    r"ip6?tables[^:]{0,80} -[AI] (?:DOCKER|PREROUTING|OUTPUT|FORWARD|POSTROUTING)\b"
    r"(?:(?! -m (?!tcp|udp|sctp|comment)| -[CDFX] )[^:]|:\d|:(?=[0-9a-f:]*\])){0,400}?"
    r":\s*ip6?tables(?: v[\d.]+ \(\w+\))?: No chain/target/match by that name"
)
_EXTENSION_RULE = (
    r"ip6?tables[^:]{0,120} -[AI] [A-Z-]+ [^:]{0,200}-m (?P<extension>addrtype|conntrack|"
    r"set|mark|statistic|policy|u32|bpf)\b[^:]{0,200}: ip6?tables(?: v[\d.]+ \(\w+\))?: "
    r"No chain/target/match by that name"
)

SIGNATURES: tuple[Signature, ...] = (
    # dockerd of all versions, quoting iptables, when a chain of its own is gone.
    Signature(
        problem="iptables-chains-flushed",
        anchors=(_NO_CHAIN,),
        pattern=_DOCKER_RULE,
        summary="iptables did not find a chain that dockerd had made",
        says=(("engine", "docker"),),
    ),
    # iptables before 1.8, as firewalld logs it: the chain that a rule leads to is gone.
    Signature(
        problem="iptables-chains-flushed",
        anchors=("Couldn't load target `DOCKER",),
        pattern=_ADDED + "Couldn't load target `DOCKER",
        summary="a rule should lead to a chain of Docker's, and there was none",
    ),
    # iptables-nft 1.8 and later, the same.
    Signature(
        problem="iptables-chains-flushed",
        anchors=("Chain 'DOCKER", "does not exist"),
        pattern=_ADDED + r"Chain 'DOCKER[\w-]*' does not exist",
        summary="a rule should lead to a chain of Docker's, and there was none",
    ),
    # dockerd, when a rule with an extension fails in a chain that it has made just before.
    Signature(
        problem="iptables-kernel-module-missing",
        anchors=(_NO_CHAIN,),
        pattern=_EXTENSION_RULE,
        summary="iptables could not add a rule with -m {extension}",
    ),
    # podman's network programs: netavark from 4.0 on, CNI plug-ins before.
    Signature(
        problem="iptables-chains-flushed",
        anchors=(_NO_CHAIN,),
        pattern=r"netavark|NETAVARK|CNI-[0-9a-f]{8}|CNI-FORWARD|cni plugin",
        unless=_PROBES,
        summary="iptables did not find a chain that Podman had made",
        says=(("engine", "podman"),),
    ),
    # The message alone, as people shorten it: which of the two cannot be told.
    Signature(
        problem="iptables-chains-flushed",
        anchors=(_NO_CHAIN,),
        unless=_PROBES,
        summary="iptables did not find a chain, a target or a match",
        certainty=Certainty.POSSIBLE,
        generic=True,
    ),
    Signature(
        problem="iptables-kernel-module-missing",
        anchors=(_NO_CHAIN,),
        unless=_PROBES,
        summary="iptables did not find a chain, a target or a match",
        certainty=Certainty.POSSIBLE,
        generic=True,
    ),
    # iptables-nft of EL 10 and others, when nft_compat finds no xt_NAME.
    Signature(
        problem="iptables-kernel-module-missing",
        anchors=("not supported, missing kernel module",),
        pattern=r"Extension (?P<extension>\w+) revision \d+ not supported, missing kernel module",
        summary="iptables found no support for {extension} in the kernel",
    ),
    # The loader of iptables' own plug-ins (all versions).
    Signature(
        problem="iptables-kernel-module-missing",
        anchors=("Couldn't load match `",),
        pattern=r"Couldn't load match `(?P<extension>\w+)'",
        summary="iptables could not load the match {extension}",
    ),
    Signature(
        problem="iptables-kernel-module-missing",
        anchors=("Couldn't load target `",),
        pattern=r"Couldn't load target `(?P<extension>(?!DOCKER)[A-Z]\w*)'",
        summary="iptables could not load the target {extension}",
        certainty=Certainty.POSSIBLE,
    ),
    # Legacy iptables when the kernel has no such table (all versions).
    Signature(
        problem="iptables-kernel-module-missing",
        anchors=("can't initialize iptables table `",),
        pattern=r"can't initialize iptables table `(?P<table>\w+)':? (?!Permission denied)",
        summary="the kernel has no legacy iptables table {table}",
    ),
    # iptables-nft, when the kernel's nf_tables cannot have such a table (28.0 on wants raw).
    Signature(
        problem="iptables-kernel-module-missing",
        anchors=("TABLE_ADD failed (Operation not supported)",),
        pattern=r"TABLE_ADD failed \(Operation not supported\)(?:: table (?P<table>\w+))?",
        summary="the kernel refuses a table of the packet filter that dockerd needs",
    ),
    # The same, of a chain that dockerd asks for first; in a container it may be the host's.
    *(
        Signature(
            problem=problem,
            anchors=("CHAIN_ADD failed (",),
            pattern=r"CHAIN_ADD failed \((?:No such (?:file or directory|device)"
            r"|Operation not supported|Invalid argument)\)",
            summary=summary,
            certainty=certainty,
            reach=80,
        )
        for problem, summary, certainty in (
            (
                "iptables-kernel-module-missing",
                "the kernel's nf_tables takes no chain of iptables",
                Certainty.LIKELY,
            ),
            (
                "iptables-nft-legacy-mismatch",
                "iptables speaks nft, and this kernel or container may want legacy",
                Certainty.POSSIBLE,
            ),
        )
    ),
    # iptables of all versions: a target whose kernel half is missing knows no options.
    Signature(
        problem="iptables-kernel-module-missing",
        anchors=('unknown option "--to-',),
        pattern=r'unknown option "--to-(?:destination|ports?|source)"',
        summary="iptables could not load a target of the nat table",
        reach=80,
    ),
    # modprobe (kmod), called by legacy iptables or by dockerd.
    Signature(
        problem="iptables-kernel-module-missing",
        anchors=("not found in directory /lib/modules/",),
        pattern=r"Module (?P<extension>ip_tables|iptable_\w+|xt_\w+|nf_\w+|nft_\w+|ipt_\w+) "
        r"not found in directory",
        summary="the running kernel has no module {extension}",
    ),
    # dockerd-rootless-setuptool.sh, which asks for the module by name.
    Signature(
        problem="iptables-kernel-module-missing",
        anchors=("Missing system requirements.", "modprobe ip_tables"),
        summary="Docker's rootless set-up found ip_tables not loaded",
        severity=Severity.WARNING,
        reach=1200,
    ),
    # Legacy ip6tables; dockerd 27 and later only warns.
    Signature(
        problem="ip6tables-module-missing",
        anchors=("can't initialize ip6tables table `",),
        pattern=r"can't initialize ip6tables table `(?P<table>\w+)':? (?!Permission denied)",
        summary="the kernel has no legacy ip6tables table {table}",
        severity=Severity.WARNING,
    ),
    Signature(
        problem="ip6tables-module-missing",
        anchors=("ip6tables is enabled, but cannot set up ip6tables chains",),
        summary="dockerd could not set up its IPv6 chains",
        severity=Severity.WARNING,
    ),
    # iptables-nft without nf_tables in the kernel, or in a container with an older kernel.
    Signature(
        problem="iptables-nft-legacy-mismatch",
        anchors=("Failed to initialize nft: Protocol not supported",),
        summary="iptables speaks nft, and the kernel has no nf_tables",
        says=(("kernel", "without-nft"),),
    ),
    # iptables-nft under dockerd at its start, in a chain that it has made just before.
    Signature(
        problem="iptables-nft-legacy-mismatch",
        anchors=("(nf_tables): ", "_APPEND failed (No such file or directory)", "DOCKER"),
        pattern=r"RULE_APPEND failed \(No such file or directory\): rule in chain DOCKER",
        summary="iptables speaks nft, and the kernel's nf_tables does not take Docker's rules",
        reach=400,
        says=(("kernel", "without-nft"),),
    ),
    # iptables-nft-save and iptables-nft -L (1.8.0 and later).
    Signature(
        problem="iptables-nft-legacy-mismatch",
        anchors=("# Warning: ip", "-legacy tables present, use "),
        summary="iptables shows nft's rules, and there are legacy rules too",
        severity=Severity.WARNING,
        certainty=Certainty.POSSIBLE,
        reach=120,
    ),
    # iptables-nft 1.8.3 and later.
    Signature(
        problem="iptables-nft-legacy-mismatch",
        anchors=("is incompatible, use 'nft' tool",),
        summary="a table of iptables' holds nft rules that it cannot show",
    ),
    # Programs that redirect a container's DNS by iptables inside its namespace.
    Signature(
        problem="iptables-nft-legacy-mismatch",
        anchors=("set up rule failed", "DOCKER_OUTPUT"),
        summary="dockerd could not redirect a container's DNS queries",
        certainty=Certainty.POSSIBLE,
    ),
    # dockerd (libnetwork's iptables package), all versions.
    Signature(
        problem="iptables-binary-missing",
        anchors=("Iptables not found",),
        summary="dockerd found no program iptables",
    ),
    Signature(
        problem="iptables-binary-missing",
        anchors=('exec: "iptables": executable file not found',),
        summary="dockerd found no program iptables",
    ),
    # dockerd 28 and later, of both programs.
    Signature(
        problem="iptables-binary-missing",
        anchors=(": iptables not found",),
        pattern=r"NAT chain|FILTER chain|controller|dockerd|daemon",
        summary="dockerd found no program iptables",
        reach=250,
    ),
    # podman's netavark.
    Signature(
        problem="iptables-binary-missing",
        anchors=("netavark: ",),
        pattern=r"netavark: .{0,60}?(?P<program>iptables|nft): No such file or directory",
        summary="netavark found no program {program}",
        reach=160,
    ),
    Signature(
        problem="iptables-binary-missing",
        anchors=("ip6tables is missing",),
        summary="dockerd found no program ip6tables",
    ),
    # A shell.
    Signature(
        problem="iptables-binary-missing",
        anchors=("iptables: ",),
        pattern=r"docker.{0,200}iptables: (?:command )?not found"
        r"|iptables: (?:command )?not found.{0,200}docker",
        summary="the program iptables is not installed",
        certainty=Certainty.POSSIBLE,
        reach=300,
    ),
    # A command line or daemon.json in the text.
    Signature(
        problem="iptables-disabled-in-daemon",
        anchors=("--iptables=false",),
        summary="dockerd is started with --iptables=false",
        severity=Severity.WARNING,
    ),
    Signature(
        problem="iptables-disabled-in-daemon",
        anchors=('"iptables"',),
        pattern=r'"iptables" ?: ?false',
        summary="daemon.json says iptables: false",
        severity=Severity.WARNING,
    ),
    # iptables -t nat -L: every chain of the table is there and none of Docker's.
    Signature(
        problem="iptables-disabled-in-daemon",
        anchors=("-t nat -L", "Chain PREROUTING (policy", "Chain POSTROUTING (policy"),
        unless=("DOCKER", _NO_CHAIN),
        pattern=r"(?i)container|docker",
        summary="the nat table has no chain of Docker's",
        severity=Severity.WARNING,
        certainty=Certainty.POSSIBLE,
        reach=1500,
    ),
    *ZONES,
)
