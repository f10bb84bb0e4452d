// Kernel settings that are no option of the stack but of the system around it, and take effect while it runs: what is allowed of TCP Fast
// Open, its keys, and what is remembered of servers.
using System.Buffers.Binary;
using System.Globalization;
using Peregrine.Posix;
using Peregrine.Scripting.Language;

namespace Peregrine.Scripting.Running;

internal static class KernelSettings
{
    internal static bool Is(string name) => name is RouteLines.Mtu or "net.ipv4.tcp_fastopen" or "net.ipv4.tcp_fastopen_key" or "net.ipv4.tcp_fastopen_cookies"
        || name is "net.inet.tcp.udp_tunneling_port" or "net.inet.tcp.udp_tunneling_overhead" or "net.inet.tcp.fastopen.client_enable" or "net.inet.tcp.fastopen.server_enable"
        || IsFastOpenKey(name);

    // The keys are the kernel's own business: which cookies they make no script can know.
    private static bool IsFastOpenKey(string name) => name is "net.inet.tcp.fastopen.setkey" or "net.inet.tcp.fastopen.setpsk";

    internal static void Apply(ScriptWorld world, string name, string value)
    {
        switch (name)
        {
            case RouteLines.Mtu:
                world.SetMtu(Math.Clamp(Sysctls.Number(value), 68, ushort.MaxValue));
                break;
            case "net.ipv4.tcp_fastopen":
                world.Sockets.FastOpenModes = (PosixFastOpenModes)Sysctls.Number(value);
                break;
            case "net.ipv4.tcp_fastopen_key":
                world.Stack.Tcp.SetFastOpenKeys(PosixFastOpen.KeysOf([.. value.Split(',').SelectMany(KeyOf)]));
                break;
            case "net.ipv4.tcp_fastopen_cookies":
                world.Stack.Tcp.ForgetFastOpenCookies();
                break;
            case "net.inet.tcp.fastopen.client_enable":
                Allow(world, PosixFastOpenModes.Client, Sysctls.Number(value) != 0);
                world.Stack.Tcp.ForgetFastOpenCookies();
                break;
            case "net.inet.tcp.udp_tunneling_port":
                world.Stack.Tcp.UdpTunnelPort = Sysctls.Number(value);
                break;
            case "net.inet.tcp.udp_tunneling_overhead":
                world.Stack.Tcp.UdpTunnelOverheadBytes = Sysctls.Number(value);
                break;
            case "net.inet.tcp.fastopen.server_enable":
                Allow(world, PosixFastOpenModes.Server, Sysctls.Number(value) != 0);
                break;
            default:
                if (!IsFastOpenKey(name)) throw Sysctls.Unknown(name, value);
                break;
        }
    }

    private static void Allow(ScriptWorld world, PosixFastOpenModes mode, bool isAllowed) =>
        world.Sockets.FastOpenModes = isAllowed ? world.Sockets.FastOpenModes | mode : world.Sockets.FastOpenModes & ~mode;

    // Four words in hexadecimal with hyphens between, as the kernel prints them: each is a number, stored with its low byte first.
    private static byte[] KeyOf(string text)
    {
        var words = text.Split('-');
        var key = new byte[16];
        if (words.Length != 4) throw new NotApplicableException($"'{text}' is no key of TCP Fast Open");
        for (var i = 0; i < 4; i++)
        {
            if (!uint.TryParse(words[i], NumberStyles.HexNumber, CultureInfo.InvariantCulture, out var word)) throw new NotApplicableException($"'{text}' is no key of TCP Fast Open");
            BinaryPrimitives.WriteUInt32LittleEndian(key.AsSpan(4 * i), word);
        }
        return key;
    }
}
