// The lines with two hyphens at a script's head: addresses, tolerances, and what is not applicable here.
using System.Globalization;
using Peregrine.Scripting.Language;
using Peregrine.Wire;

namespace Peregrine.Scripting.Running;

internal static class SetupReader
{
    internal static ScriptSetup Read(Script script, Profile profile)
    {
        var values = new Dictionary<string, string>();
        foreach (var (name, value) in script.Options) values[name] = value;
        // Scripts for one family only say so by their name.
        var usual = script.Name.EndsWith("v6.pkt", StringComparison.Ordinal) ? "ipv6" : "ipv4";
        var version = values.GetValueOrDefault("ip_version", usual);
        if (version is not ("ipv4" or "ipv4-mapped-ipv6" or "ipv6")) throw new NotApplicableException($"--ip_version={version}");
        var v6 = version == "ipv6";
        var setup = new ScriptSetup
        {
            // The addresses that packetdrill's documentation gives as its own.
            Local = IpAddress.Parse(v6 ? "fd3d:fa7b:d17d::1" : "192.168.0.1"),
            Gateway = IpAddress.Parse(v6 ? "fd3d:fa7b:d17d::2" : "192.168.0.2"),
            Remote = IpAddress.Parse(v6 ? "2001:db8::1" : "192.0.2.1"),
            IsMapped = version == "ipv4-mapped-ipv6",
            Manners = profile.Manners,
            ToleranceMicroseconds = profile.ToleranceMicroseconds,
            FastOpenModes = profile.FastOpenModes,
            FastOpenKeys = profile.FastOpenKeys,
        };
        foreach (var (name, value) in values) setup = Apply(setup, name, value);
        return setup;
    }

    private static ScriptSetup Apply(ScriptSetup setup, string name, string value)
    {
        switch (name)
        {
            case "ip_version" or "wire_client" or "verbose" or "debug" or "speed" or "connect_port" or "bind_port" or "gateway_ip" or "netmask_ip" or "init_scripts"
                or "dry_run" or "define" or "D" or "code_command" or "code_format" or "code_sockopt" or "local_linklocal_ip" or "gateway_linklocal_ip" or "wire_client_dev"
                or "tun_dev" or "persistent_tun_dev" or "no_cleanup"
                or "so_filename" or "so_flags" or "is_anyip" or "send_omit_free" or "mss" or "wire_server" or "wire_server_ip" or "wire_server_at" or "wire_server_port"
                or "wire_server_dev" or "tolerance_percent" or "tcp_ts_ecr_scaled":
                return setup;
            case "tolerance_usecs":
                return setup with { ToleranceMicroseconds = Number(name, value) };
            case "mtu":
                return setup with { Mtu = (int)Number(name, value) };
            case "tcp_ts_tick_usecs":
                return setup with { StampTickMicroseconds = (int)Number(name, value) };
            case "strict_segments":
                return setup with { ComparesEachSegment = true };
            case "non_fatal":
                return setup with { CallsAreNotFatal = value.Contains("syscall", StringComparison.Ordinal), PacketsAreNotFatal = value.Contains("packet", StringComparison.Ordinal) };
            case "local_ip" or "local_ipv4" or "local_ipv6":
                return WithLocal(setup, Address(name, value));
            case "remote_ip" or "remote_ipv4" or "remote_ipv6":
                return setup with { Remote = Address(name, value) };
            case "tcp_md5_secret":
                return setup with { Md5Secret = value };
            case "udp_encapsulation" or "udp_encaps" when value is "tcp" or "none" or "":
                return setup;
            case "psp_udp_port":
                return setup with { Psp = new ScriptPsp((int)Math.Clamp(Number(name, value), 1, ushort.MaxValue)) };
            default:
                throw new NotApplicableException($"the option --{name} is not understood");
        }
    }

    // The gateway is a neighbour of the local address.
    private static ScriptSetup WithLocal(ScriptSetup setup, IpAddress local)
    {
        if (!local.IsIPv4) return setup with { Local = local };
        Span<byte> bytes = stackalloc byte[16];
        local.WriteTo(bytes);
        return setup with { Local = local, Gateway = IpAddress.FromIPv4(bytes[0], bytes[1], bytes[2], (byte)(bytes[3] == 2 ? 1 : 2)) };
    }

    private static long Number(string name, string value) =>
        long.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : throw new NotApplicableException($"--{name}={value} is no number");

    private static IpAddress Address(string name, string value) =>
        IpAddress.TryParse(value, out var address) ? address : throw new NotApplicableException($"--{name}={value} is no address");
}
