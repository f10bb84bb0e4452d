// What the client tells the server about the test, as the JSON of the parameter exchange. Keys and their order as iperf3 3.12 sends them.
using System.Text.Json.Nodes;

namespace Peregrine.Iperf3;

internal sealed record TestParameters
{
    internal const string ClientVersion = "3.12";

    /// <summary>Bytes of the JSON that a server reads at most.</summary>
    internal const int BytesMax = 8 * 1024;

    internal bool Udp { get; init; }

    internal int Omit { get; init; }

    internal int ServerAffinity { get; init; } = -1;

    internal int Seconds { get; init; }

    internal long ByteCount { get; init; }

    internal long BlockCount { get; init; }

    internal int Mss { get; init; }

    internal bool NoDelay { get; init; }

    internal int Parallel { get; init; } = 1;

    internal bool Reverse { get; init; }

    internal bool Bidirectional { get; init; }

    internal int Window { get; init; }

    internal int Length { get; init; }

    /// <summary>Bits a second of each stream, or 0.</summary>
    internal double Bitrate { get; init; }

    internal double FairQueueRate { get; init; }

    internal int PacingTimerUs { get; init; } = 1_000;

    internal int Burst { get; init; }

    internal int Tos { get; init; }

    internal string? Title { get; init; }

    internal string? ExtraData { get; init; }

    internal string? Congestion { get; init; }

    internal bool GetServerOutput { get; init; }

    internal bool UdpCounters64Bit { get; init; }

    internal bool RepeatingPayload { get; init; }

    internal bool ZeroCopy { get; init; }

    internal bool DontFragment { get; init; }

    internal string? AuthToken { get; init; }

    /// <summary>Streams on both directions together.</summary>
    internal int StreamCount => Bidirectional ? 2 * Parallel : Parallel;

    internal int HeaderLength => UdpCounters64Bit ? 16 : 12;

    /// <summary>What a client asks for: its command line, and what that leaves open.</summary>
    internal static TestParameters From(Iperf3Options options, int controlMss, long fileLength, string? token)
    {
        var test = options.Test;
        return test with
        {
            Seconds = options.DurationSeconds,
            ByteCount = test.ByteCount > 0 ? test.ByteCount : fileLength,
            Length = test.Length > 0 ? test.Length : test.Udp ? Math.Clamp(controlMss, 64, OptionReader.UdpBlockSizeMax) : 128 * 1024,
            // "1 Mbit" of the manual is 1,048,576, as iperf3 sends it.
            Bitrate = test.Bitrate >= 0 ? test.Bitrate : test.Udp ? 1 << 20 : 0,
            AuthToken = token,
        };
    }

    internal JsonObject ToJson()
    {
        var json = new JsonObject { [Udp ? "udp" : "tcp"] = true, ["omit"] = Omit };
        if (ServerAffinity >= 0) json["server_affinity"] = ServerAffinity;
        (json["time"], json["num"], json["blockcount"]) = (Seconds, ByteCount, BlockCount);
        if (Mss > 0) json["MSS"] = Mss;
        if (NoDelay) json["nodelay"] = true;
        json["parallel"] = Parallel;
        if (Reverse) json["reverse"] = true;
        if (Bidirectional) json["bidirectional"] = true;
        if (Window > 0) json["window"] = Window;
        json["len"] = Length;
        if (Bitrate > 0) json["bandwidth"] = (long)Bitrate;
        if (FairQueueRate > 0) json["fqrate"] = (long)FairQueueRate;
        json["pacing_timer"] = PacingTimerUs;
        if (Burst > 0) json["burst"] = Burst;
        if (Tos > 0) json["TOS"] = Tos;
        if (Title != null) json["title"] = Title;
        if (ExtraData != null) json["extra_data"] = ExtraData;
        if (Congestion != null) json["congestion"] = Congestion;
        if (GetServerOutput) json["get_server_output"] = 1;
        if (UdpCounters64Bit) json["udp_counters_64bit"] = 1;
        if (RepeatingPayload) json["repeating_payload"] = 1;
        if (ZeroCopy) json["zerocopy"] = 1;
        if (DontFragment) json["dont_fragment"] = 1;
        if (AuthToken != null) json["authtoken"] = AuthToken;
        json["client_version"] = ClientVersion;
        return json;
    }

    /// <summary>Reads what a client sent, and checks every range: the peer is not trusted.</summary>
    internal static TestParameters Read(JsonObject json)
    {
        var udp = JsonText.Long(json, "udp") != 0;
        var read = new TestParameters
        {
            Udp = udp,
            Omit = InRange(json, "omit", 0, OptionReader.OmitMax, 0),
            ServerAffinity = InRange(json, "server_affinity", -1, 4_095, -1),
            Seconds = InRange(json, "time", 0, OptionReader.SecondsMax, 10),
            ByteCount = Math.Max(0, JsonText.Long(json, "num")),
            BlockCount = Math.Max(0, JsonText.Long(json, "blockcount")),
            Mss = InRange(json, "MSS", 0, OptionReader.MssMax, 0),
            NoDelay = JsonText.Long(json, "nodelay") != 0,
            Parallel = InRange(json, "parallel", 1, OptionReader.StreamCountMax, 1),
            Reverse = JsonText.Long(json, "reverse") != 0,
            Bidirectional = JsonText.Long(json, "bidirectional") != 0,
            Window = InRange(json, "window", 0, OptionReader.WindowMax, 0),
            Length = InRange(json, "len", udp ? UdpLengthMin(json) : 1, udp ? OptionReader.UdpBlockSizeMax : OptionReader.BlockSizeMax, udp ? 1460 : 128 * 1024),
            Bitrate = Math.Clamp(JsonText.Number(json, "bandwidth") ?? 0, 0, 9e15),
            FairQueueRate = Math.Clamp(JsonText.Number(json, "fqrate") ?? 0, 0, 9e15),
            PacingTimerUs = InRange(json, "pacing_timer", 0, 60_000_000, 1_000),
            Burst = InRange(json, "burst", 0, OptionReader.BurstMax, 0),
            Tos = InRange(json, "TOS", 0, 255, 0),
            Title = JsonText.Text(json, "title"),
            ExtraData = JsonText.Text(json, "extra_data"),
            Congestion = JsonText.Text(json, "congestion"),
            GetServerOutput = JsonText.Long(json, "get_server_output") != 0,
            UdpCounters64Bit = JsonText.Long(json, "udp_counters_64bit") != 0,
            RepeatingPayload = JsonText.Long(json, "repeating_payload") != 0,
            ZeroCopy = JsonText.Long(json, "zerocopy") != 0,
            DontFragment = JsonText.Long(json, "dont_fragment") != 0,
            AuthToken = JsonText.Text(json, "authtoken"),
        };
        if (JsonText.Long(json, "sctp") != 0) throw new Iperf3Exception(Iperf3Error.ReceiveParameters, detail: "the client wants SCTP, which this stack has not");
        return read is { Reverse: true, Bidirectional: true } ? throw new Iperf3Exception(Iperf3Error.ReverseAndBidirectional) : read;
    }

    private static int UdpLengthMin(JsonObject json) => JsonText.Long(json, "udp_counters_64bit") != 0 ? 16 : 12;

    private static int InRange(JsonObject json, string name, int min, int max, int otherwise)
    {
        var value = JsonText.Long(json, name, otherwise);
        if (value < min || value > max) throw new Iperf3Exception(Iperf3Error.ReceiveParameters, detail: $"{name} is {value}; it must be from {min} to {max}");
        return (int)value;
    }
}
