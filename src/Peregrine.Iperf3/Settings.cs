// What a test asks of its connections, as settings of the stack; and the names that iperf3 gives what the stack refuses.
using System.Net;
using System.Net.Sockets;
using System.Text;
using Peregrine.Core.Tcp;
using Peregrine.Sockets;

namespace Peregrine.Iperf3;

internal static class Settings
{
    private const string CookieLetters = "abcdefghijklmnopqrstuvwxyz234567";

    /// <summary>The settings of a test's streams.</summary>
    internal static TcpSettings Stream(TcpSettings defaults, TestParameters parameters, Iperf3Options options)
    {
        var settings = Control(defaults, options) with
        {
            NoDelay = parameters.NoDelay,
            MaximumSegmentSize = parameters.Mss == 0 ? defaults.MaximumSegmentSize : Math.Max(64, parameters.Mss),
            TrafficClass = parameters.Tos & 0xFC,
            CongestionControl = parameters.Congestion ?? defaults.CongestionControl,
        };
        if (parameters.Window > 0)
        {
            var window = Math.Max(2_048, parameters.Window);
            settings = settings with { ReceiveBufferBytes = window, ReceiveBufferBytesMax = window, SendBufferBytes = window, SendBufferBytesMax = window };
        }
        try
        {
            settings.Validate();
        }
        catch (ArgumentOutOfRangeException e)
        {
            throw new Iperf3Exception(e.ParamName == nameof(TcpSettings.CongestionControl) ? Iperf3Error.SetCongestion : Iperf3Error.SetBuffer, detail: e.Message.Split('\r', '\n', '(')[0].Trim());
        }
        return settings;
    }

    /// <summary>The settings of the control connection.</summary>
    internal static TcpSettings Control(TcpSettings defaults, Iperf3Options options)
    {
        var settings = options.SendTimeoutMs > 0 ? defaults with { UserTimeoutMs = options.SendTimeoutMs } : defaults;
        if (options.ControlKeepalive is not { } keepalive) return settings;
        return settings with
        {
            KeepAlive = true,
            KeepAliveTimeSeconds = keepalive.Idle > 0 ? keepalive.Idle : settings.KeepAliveTimeSeconds,
            KeepAliveIntervalSeconds = keepalive.Interval > 0 ? keepalive.Interval : settings.KeepAliveIntervalSeconds,
            KeepAliveRetryCount = keepalive.Count > 0 ? Math.Min(keepalive.Count, 127) : settings.KeepAliveRetryCount,
        };
    }

    internal static UdpSocketOptions Datagrams(TestParameters parameters) => new()
    {
        ReceiveBufferSize = parameters.Window > 0 ? Math.Max(4_096, parameters.Window) : 0,
        Tos = parameters.Tos,
        DontFragment = parameters.DontFragment,
        ReuseAddress = true,
        CompletionMode = CompletionMode.Inline,
    };

    /// <summary>The own end: of -B and a port, or null when neither is given.</summary>
    internal static IPEndPoint? Bind(Iperf3Options options, int port, AddressFamily family, Iperf3Error onError)
    {
        if (options.Bind == null) return port == 0 ? null : new IPEndPoint(family == AddressFamily.InterNetworkV6 ? IPAddress.IPv6Any : IPAddress.Any, port);
        return IPAddress.TryParse(options.Bind.Split('%')[0], out var address)
            ? new IPEndPoint(address, port)
            : throw new Iperf3Exception(onError, detail: $"-B \"{options.Bind}\" is no address");
    }

    /// <summary>36 letters of iperf3's alphabet and a zero.</summary>
    internal static byte[] CreateCookie(Iperf3Environment environment)
    {
        var cookie = new byte[ControlChannel.CookieLength];
        environment.FillRandom(cookie);
        for (var i = 0; i < cookie.Length - 1; i++) cookie[i] = (byte)CookieLetters[cookie[i] & 31];
        cookie[^1] = 0;
        return cookie;
    }

    internal static string Text(byte[] cookie)
    {
        // A stranger's cookie may hold anything; what is printed holds letters.
        var text = new StringBuilder();
        foreach (var letter in cookie.TakeWhile(static letter => letter != 0)) text.Append(char.IsAsciiLetterOrDigit((char)letter) ? (char)letter : '?');
        return text.ToString();
    }
}
