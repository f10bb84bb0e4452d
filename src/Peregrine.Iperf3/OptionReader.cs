// One option after the other into the record, and the checks that iperf3 makes at the end.
using System.Globalization;

namespace Peregrine.Iperf3;

internal sealed class OptionReader
{
    internal const int StreamCountMax = 128;
    internal const int BlockSizeMax = 1 << 20;
    internal const int UdpBlockSizeMin = 16;
    internal const int UdpBlockSizeMax = 65_507;
    internal const int SecondsMax = 86_400;
    internal const int OmitMax = 60;
    internal const int WindowMax = 512 << 20;
    internal const int MssMax = 9_216;
    internal const int BurstMax = 1_000;

    private static readonly string[] s_dscp =
    [
        "cs0:0", "cs1:8", "cs2:16", "cs3:24", "cs4:32", "cs5:40", "cs6:48", "cs7:56", "af11:10", "af12:12", "af13:14", "af21:18", "af22:20", "af23:22",
        "af31:26", "af32:28", "af33:30", "af41:34", "af42:36", "af43:38", "ef:46", "va:44", "le:1", "lephb:1",
    ];

    private Iperf3Options _options = new();
    private TestParameters _test = new Iperf3Options().Test;
    private bool _isClient;
    private bool _hasReceiveTimeout;
    private bool _clientOnly;
    private bool _serverOnly;

    internal void Take(string name, string? value)
    {
        if (!TakeCommon(name, value ?? "") && !TakeServer(name, value ?? "") && !TakeClient(name, value ?? "") && !TakeTest(name, value ?? "")) Refuse(name);
    }

    internal Iperf3Options Finish()
    {
        var (o, test) = (_options with { Test = _test }, _test);
        if (o.IsServer && _isClient) throw new Iperf3Exception(Iperf3Error.ServerAndClient);
        if (!o.IsServer && !_isClient) throw new Iperf3Exception(Iperf3Error.NoRole);
        if (o.IsServer && _clientOnly) throw new Iperf3Exception(Iperf3Error.ClientOnly);
        if (!o.IsServer && _serverOnly) throw new Iperf3Exception(Iperf3Error.ServerOnly);
        if (test.Reverse && test.Bidirectional) throw new Iperf3Exception(Iperf3Error.ReverseAndBidirectional);
        if (_isClient && _hasReceiveTimeout && !test.Reverse && !test.Bidirectional) throw new Iperf3Exception(Iperf3Error.ReceiveTimeoutOfSender);
        if (o.IsServer && (o.RsaPrivateKeyPath == null) != (o.AuthorizedUsersPath == null)) throw new Iperf3Exception(Iperf3Error.ServerAuth);
        if (!o.IsServer && (o.UserName == null) != (o.RsaPublicKeyPath == null)) throw new Iperf3Exception(Iperf3Error.ClientAuth);
        if (test.Udp && test.Length != 0 && test.Length is < UdpBlockSizeMin or > UdpBlockSizeMax) throw new Iperf3Exception(Iperf3Error.UdpBlockSize);
        if (!test.Udp && test.Length is < 0 or > BlockSizeMax) throw new Iperf3Exception(Iperf3Error.BlockSize);
        if ((o.Seconds != null ? 1 : 0) + (test.ByteCount > 0 ? 1 : 0) + (test.BlockCount > 0 ? 1 : 0) > 1) throw new Iperf3Exception(Iperf3Error.EndConditions);
        return o;
    }

    private static void Refuse(string name) => throw new Iperf3Exception(Iperf3Error.Unimplemented, detail: name switch
    {
        "sctp" or "xbind" or "nstreams" => "there is no SCTP in this stack",
        "mptcp" => "there is no multipath TCP in this stack",
        "flowlabel" => "the stack chooses IPv6 flow labels itself (RFC 6437); --flowlabel has no meaning here",
        "bind-dev" => "the stack has one link, the one of --link; --bind-dev has no meaning here",
        "daemon" => "start it with setsid or a service manager; -D has no meaning here",
        _ => "--" + name,
    });

    private bool TakeCommon(string name, string value)
    {
        switch (name)
        {
            case "port":
                _options = _options with { Port = Port(value) };
                return true;
            case "format":
                if (value.Length == 0 || !"kmgtKMGT".Contains(value[0], StringComparison.Ordinal)) throw new Iperf3Exception(Iperf3Error.BadFormat);
                _options = _options with { Format = value[0] };
                return true;
            case "interval":
                var interval = double.TryParse(value, CultureInfo.InvariantCulture, out var seconds) ? seconds : 0;
                if (interval != 0 && interval is < 0.1 or > 60) throw new Iperf3Exception(Iperf3Error.Interval);
                _options = _options with { Interval = interval };
                return true;
            case "affinity":
                _options = Affinity(value);
                return true;
            case "debug" or "verbose":
                _options = name == "debug" ? _options with { Debug = true } : _options with { Verbose = true };
                return true;
            case "json" or "json-stream":
                _options = name == "json" ? _options with { Json = true } : _options with { JsonStream = true };
                return true;
            case "json-stream-full-output":
                _options = _options with { JsonStream = true, JsonStreamFull = true };
                return true;
            case "timestamps":
                _options = _options with { Timestamps = value.Length == 0 ? "%c " : value };
                return true;
            case "rcv-timeout":
                var ms = Iperf3Arguments.Whole(value);
                if (ms is < 100 or > SecondsMax * 1_000) throw new Iperf3Exception(Iperf3Error.ReceiveTimeout);
                (_options, _hasReceiveTimeout) = (_options with { ReceiveTimeoutMs = ms }, true);
                return true;
            case "snd-timeout":
                var send = Iperf3Arguments.Whole(value);
                if (send is < 1_000 or > SecondsMax * 1_000) throw new Iperf3Exception(Iperf3Error.SendTimeout, detail: "it must be from 1000 to 86400000 ms here");
                _options = _options with { SendTimeoutMs = send };
                return true;
            default:
                return TakeText(name, value);
        }
    }

    private bool TakeText(string name, string value)
    {
        Iperf3Options? next = name switch
        {
            "pidfile" => _options with { PidFile = value },
            "file" => _options with { File = value },
            "bind" => _options with { Bind = value },
            "logfile" => _options with { LogFile = value },
            "forceflush" => _options with { ForceFlush = true },
            _ => null,
        };
        if (next == null) return false;
        _options = next;
        return true;
    }

    private bool TakeServer(string name, string value)
    {
        Iperf3Options? next = name switch
        {
            "server" => _options with { IsServer = true },
            "one-off" => _options with { OneOff = true },
            "server-bitrate-limit" => Limit(value),
            "server-max-duration" => _options with { ServerMaxDuration = Iperf3Arguments.Whole(value) is var most and > 0 ? most : throw new Iperf3Exception(Iperf3Error.Duration) },
            "idle-timeout" => _options with
            {
                IdleTimeout = Iperf3Arguments.Whole(value) is var idle and > 0 and <= SecondsMax ? idle : throw new Iperf3Exception(Iperf3Error.IdleTimeout),
            },
            "rsa-private-key-path" => _options with { RsaPrivateKeyPath = value },
            "authorized-users-path" => _options with { AuthorizedUsersPath = value },
            "time-skew-threshold" => _options with
            {
                TimeSkewThreshold = Iperf3Arguments.Whole(value) is var skew and > 0 ? skew : throw new Iperf3Exception(Iperf3Error.SkewThreshold),
            },
            _ => null,
        };
        if (next == null) return false;
        _serverOnly |= name != "server";
        _options = next;
        return true;
    }

    private bool TakeClient(string name, string value)
    {
        Iperf3Options? next = name switch
        {
            "client" => _options with { Host = value },
            "version4" => _options with { Family = 4 },
            "version6" => _options with { Family = 6 },
            "connect-timeout" => _options with { ConnectTimeoutMs = Iperf3Arguments.Whole(value) },
            "time" => Iperf3Arguments.Whole(value) is var time && time is < 0 or > SecondsMax ? throw new Iperf3Exception(Iperf3Error.Duration) : _options with { Seconds = time },
            "cport" => _options with { ClientPort = Port(value) },
            "username" => _options with { UserName = value },
            "rsa-public-key-path" => _options with { RsaPublicKeyPath = value },
            "use-pkcs1-padding" => _options with { UsePkcs1Padding = true },
            "cntl-ka" => _options with { ControlKeepalive = Keepalive(value) },
            // What they save elsewhere, a copy and system calls, does not exist here.
            "skip-rx-copy" or "gsro" => _options,
            _ => null,
        };
        if (next == null) return false;
        _isClient |= name == "client";
        _clientOnly |= name is not ("client" or "version4" or "version6");
        _options = next;
        return true;
    }

    private bool TakeTest(string name, string value)
    {
        var next = TakeLoad(name, value) ?? TakeTuning(name, value);
        if (next == null) return false;
        _clientOnly = true;
        _test = next;
        return true;
    }

    /// <summary>How much of what is sent, and which way.</summary>
    private TestParameters? TakeLoad(string name, string value) => name switch
    {
        "udp" => _test with { Udp = true },
        "bitrate" or "bandwidth" => Bitrate(value),
        "bytes" => _test with { ByteCount = (long)Amount(value) },
        "blockcount" => _test with { BlockCount = (long)Amount(value) },
        "length" => _test with { Length = (int)Math.Clamp(Amount(value), -1, int.MaxValue) },
        "parallel" => Iperf3Arguments.Whole(value) is var parallel && parallel is < 1 or > StreamCountMax
            ? throw new Iperf3Exception(Iperf3Error.StreamCount) : _test with { Parallel = parallel },
        "reverse" => _test with { Reverse = true },
        "bidir" => _test with { Bidirectional = true },
        "title" => _test with { Title = value },
        "extra-data" => _test with { ExtraData = value },
        "get-server-output" => _test with { GetServerOutput = true },
        "omit" => Iperf3Arguments.Whole(value) is var omit && omit is < 0 or > OmitMax ? throw new Iperf3Exception(Iperf3Error.Omit) : _test with { Omit = omit },
        _ => null,
    };

    private TestParameters? TakeTuning(string name, string value) => name switch
    {
        "window" => Amount(value) is var window && window is < 0 or > WindowMax ? throw new Iperf3Exception(Iperf3Error.BufferSize) : _test with { Window = (int)window },
        "congestion" or "linux-congestion" => _test with { Congestion = value },
        "set-mss" => Iperf3Arguments.Whole(value) is var mss && mss is < 0 or > MssMax ? throw new Iperf3Exception(Iperf3Error.Mss) : _test with { Mss = mss },
        "no-delay" => _test with { NoDelay = true },
        "tos" => _test with { Tos = Tos(value, 255) },
        "dscp" => _test with { Tos = Dscp(value) << 2 },
        "zerocopy" => _test with { ZeroCopy = true },
        "pacing-timer" => _test with { PacingTimerUs = (int)Math.Clamp(Amount(value), 0, 60_000_000) },
        "fq-rate" => _test with { FairQueueRate = Rate(value) },
        "no-fq-socket-pacing" => _test with { FairQueueRate = 0 },
        "udp-counters-64bit" => _test with { UdpCounters64Bit = true },
        "repeating-payload" => _test with { RepeatingPayload = true },
        "dont-fragment" => _test with { DontFragment = true },
        _ => null,
    };

    private Iperf3Options Affinity(string value)
    {
        var parts = value.Split(',');
        if (parts.Length > 2 || !parts.All(static part => int.TryParse(part, NumberStyles.None, CultureInfo.InvariantCulture, out var cpu) && cpu < 1024))
            throw new Iperf3Exception(Iperf3Error.Affinity, detail: $"\"{value}\" must be a processor from 0 to 1023, or two with a comma");
        if (parts.Length == 2) _clientOnly = true;
        _test = _test with { ServerAffinity = parts.Length == 2 ? Iperf3Arguments.Whole(parts[1]) : -1 };
        return _options with { Affinity = Iperf3Arguments.Whole(parts[0]) };
    }

    private TestParameters Bitrate(string value)
    {
        var parts = value.Split('/', 2);
        var burst = parts.Length == 2 ? Iperf3Arguments.Whole(parts[1]) : 0;
        if (parts.Length == 2 && burst is <= 0 or > BurstMax) throw new Iperf3Exception(Iperf3Error.Burst);
        return _test with { Bitrate = Rate(parts[0]), Burst = burst };
    }

    private Iperf3Options Limit(string value)
    {
        var parts = value.Split('/', 2);
        var seconds = 5.0;
        if (parts.Length == 2 && (!double.TryParse(parts[1], CultureInfo.InvariantCulture, out seconds) || seconds is < 1 or > 60)) throw new Iperf3Exception(Iperf3Error.TotalInterval);
        return _options with { ServerBitrateLimit = Rate(parts[0]), ServerBitrateLimitSeconds = seconds };
    }

    private static (int Idle, int Interval, int Count) Keepalive(string value)
    {
        var parts = value.Split('/');
        return (At(0), At(1), At(2));

        int At(int index) => index < parts.Length ? Math.Clamp(Iperf3Arguments.Whole(parts[index]), 0, 32_767) : 0;
    }

    private static int Port(string value) =>
        Iperf3Arguments.Whole(value) is var port && port is < 1 or > 65_535 ? throw new Iperf3Exception(Iperf3Error.BadPort) : port;

    private static double Amount(string value) => Units.TryParse(value, 1024, out var amount) ? Math.Min(amount, 9e15) : 0;

    private static double Rate(string value) => Units.TryParse(value, 1000, out var rate) && rate >= 0 ? Math.Min(rate, 9e15) : 0;

    /// <summary>Decimal, octal with a leading 0 or hexadecimal with 0x, as strtol reads it.</summary>
    private static int Tos(string value, int most)
    {
        var parsed = -1;
        try
        {
            parsed = value.StartsWith("0x", StringComparison.OrdinalIgnoreCase) ? Convert.ToInt32(value, 16)
                : value is ['0', _, ..] ? Convert.ToInt32(value, 8)
                : int.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : -1;
        }
        catch (Exception e) when (e is FormatException or OverflowException or ArgumentException)
        {
            // No number: refused below.
        }
        return parsed < 0 || parsed > most ? throw new Iperf3Exception(Iperf3Error.BadTos) : parsed;
    }

    private static int Dscp(string value)
    {
        var named = Array.Find(s_dscp, entry => entry.StartsWith(value.ToLowerInvariant() + ":", StringComparison.Ordinal));
        return named != null ? Iperf3Arguments.Whole(named[(named.IndexOf(':', StringComparison.Ordinal) + 1)..]) : Tos(value, 63);
    }
}
