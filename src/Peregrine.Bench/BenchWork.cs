// What is measured: one work with its sizes, as a command line gives it. Checks ranges; runs nothing.
namespace Peregrine.Bench;

/// <summary>The kinds of work that a client asks of a server.</summary>
internal enum WorkKind
{
    Http,
    PingPong,
    Bulk,
    Connect,
    Udp,
    Mixed,
    Loss,
}

/// <summary>Who closes a connection that carries one request.</summary>
internal enum Closer
{
    Client,
    Server,
}

/// <summary>One measurement's work. Counts and sizes are bounded so that a client's memory is.</summary>
internal sealed record BenchWork
{
    internal const int ConnectionCountMax = 20_000;

    public required WorkKind Kind { get; init; }

    /// <summary>Connections at a time, 1 to 20,000.</summary>
    public int Connections { get; init; } = 1;

    /// <summary>Requests on the way per connection, 1 to 64; HTTP only.</summary>
    public int Pipeline { get; init; } = 1;

    /// <summary>Bytes of a ping, 1 to 65,536 (1,400 for UDP).</summary>
    public int Bytes { get; init; } = 64;

    /// <summary>A connection for every request.</summary>
    public bool NewConnection { get; init; }

    public Closer Closer { get; init; }

    /// <summary>Bulk: from the server to the client.</summary>
    public bool Reverse { get; init; }

    /// <summary>Arrivals per second, scheduled; 0 for a closed loop, where the next request waits for the answer.</summary>
    public double Rate { get; init; }

    /// <summary>Frames that the server's link loses in each direction, in per cent.</summary>
    public double LossPercent { get; init; }

    /// <summary>Our server is ASP.NET Core's Kestrel and not call-backs with spans; HTTP only.</summary>
    public bool Kestrel { get; init; }

    /// <summary>Our server awaits what it receives and sends, and is not called back with spans.</summary>
    public bool Await { get; init; }

    /// <summary>HTTP/2 without TLS, known beforehand (RFC 9113 §3.3); Kestrel only. A pipelined request is a stream.</summary>
    public bool Http2 { get; init; }

    /// <summary>The page is an object that is written as JSON for each request, and not text that lies ready; Kestrel only.</summary>
    public bool Json { get; init; }

    /// <summary>SYNs a second to the same port from addresses that nobody has; 0 for none. HTTP only.</summary>
    public double FloodPerSecond { get; init; }

    /// <summary>Both sides look for work without sleeping.</summary>
    public bool Spin { get; init; }

    public double Seconds { get; init; } = 2;

    public double WarmUpSeconds { get; init; } = 0.5;

    /// <summary>Whether each request has a connection of its own.</summary>
    internal bool IsPerConnection => NewConnection || Kind == WorkKind.Connect;

    internal bool IsUdp => Kind == WorkKind.Udp;

    /// <summary>Whether the result is a throughput and not requests.</summary>
    internal bool IsBulk => Kind is WorkKind.Bulk or WorkKind.Loss;

    /// <summary>A name that tells it from other works in one report, like "http c=64".</summary>
    internal string Title
    {
        get
        {
            var parts = new List<string> { Http2 ? "http2" : Kind.ToString().ToLowerInvariant() };
            if (Await) parts.Add("await");
            if (Kestrel) parts.Add(Json ? "Kestrel, JSON" : "Kestrel");
            if (Kind == WorkKind.Http && NewConnection) parts.Add(Closer == Closer.Server ? "new connection, server closes" : "new connection");
            if (IsBulk) parts.Add(Reverse ? "server to client" : "client to server");
            if (Kind is WorkKind.PingPong or WorkKind.Udp) parts.Add(FormattableString.Invariant($"{Bytes} B"));
            if (!IsBulk) parts.Add(FormattableString.Invariant($"c={Connections}"));
            if (Pipeline > 1) parts.Add(FormattableString.Invariant($"{Pipeline} {(Http2 ? "streams" : "pipelined")}"));
            if (Rate > 0) parts.Add(FormattableString.Invariant($"open loop {Rate:0}/s"));
            if (FloodPerSecond > 0) parts.Add(FormattableString.Invariant($"beside {FloodPerSecond:0} SYN a second"));
            if (LossPercent > 0) parts.Add(FormattableString.Invariant($"{LossPercent}% lost"));
            parts.Add(Spin ? "spinning" : "blocking");
            return string.Join(", ", parts);
        }
    }

    /// <summary>Checks every setting.</summary>
    /// <exception cref="ArgumentException">A setting is out of its range; the message names it, its value and its range.</exception>
    internal void Validate()
    {
        Range("--connections", Connections, 1, ConnectionCountMax);
        Range("--pipeline", Pipeline, 1, 64);
        Range("--bytes", Bytes, 1, IsUdp ? 1_400 : 65_536);
        Range("--rate", Rate, 0, 10_000_000);
        Range("--seconds", Seconds, 0.05, 600);
        Range("--warm-up", WarmUpSeconds, 0, 60);
        Range("--loss", LossPercent, 0, 50);
        if (Pipeline > 1 && (Kind != WorkKind.Http || NewConnection || Rate > 0))
            throw new ArgumentException($"--pipeline is {Pipeline}; it goes with http on connections that stay, in a closed loop.");
        if (Rate > 0 && IsBulk) throw new ArgumentException($"--rate is {Rate}; bulk data have no arrivals to schedule.");
        Range("--flood", FloodPerSecond, 0, 10_000_000);
        if (FloodPerSecond > 0 && (Kind != WorkKind.Http || LossPercent > 0)) throw new ArgumentException("--flood goes with http, without --loss.");
        if (Kestrel && (Kind != WorkKind.Http || Spin || (NewConnection && Closer == Closer.Server)))
            throw new ArgumentException("--kestrel goes with http, without --spin, and does not close first.");
        if (Http2 && (!Kestrel || NewConnection || Rate > 0)) throw new ArgumentException("--h2 goes with --kestrel, on connections that stay, in a closed loop.");
        if (Await && (Kestrel || IsBulk || IsUdp)) throw new ArgumentException("--await goes with http, pingpong, connect and mixed, without --kestrel; udp awaits anyhow.");
        if (Json && !Kestrel) throw new ArgumentException("--json goes with --kestrel or --h2.");
        if (NewConnection && Kind != WorkKind.Http) throw new ArgumentException("--new-connection goes with http; for the shortest exchange there is 'bench connect'.");
    }

    private static void Range(string name, double value, double min, double max)
    {
        if (!(value >= min && value <= max)) throw new ArgumentException(FormattableString.Invariant($"{name} is {value}; it must be from {min} to {max}."));
    }
}

/// <summary>Where the services listen, on every server of the benchmarks.</summary>
internal static class Services
{
    internal const int Echo = 7;
    internal const int Discard = 9;
    internal const int Source = 19;
    internal const int Http = 80;

    /// <summary>Answers one request and closes.</summary>
    internal const int HttpClosing = 81;

    /// <summary>HTTP/2 without TLS; only Kestrel and nginx have it.</summary>
    internal const int Http2 = 82;

    internal static ReadOnlySpan<byte> Request => "GET / HTTP/1.1\r\nHost: bench\r\n\r\n"u8;

    /// <summary>What Kestrel answers with JSON.</summary>
    internal const string JsonPath = "/json";

    internal static ReadOnlySpan<byte> JsonRequest => "GET /json HTTP/1.1\r\nHost: bench\r\n\r\n"u8;

    internal static ReadOnlySpan<byte> Answer => "HTTP/1.1 200 OK\r\nContent-Length: 13\r\nContent-Type: text/plain\r\n\r\nHello, world!"u8;

    /// <summary>The port that a work's connections go to.</summary>
    internal static int PortOf(BenchWork work) => work.Kind switch
    {
        WorkKind.Http => work is { NewConnection: true, Closer: Closer.Server } ? HttpClosing : Http,
        WorkKind.Bulk or WorkKind.Loss => work.Reverse ? Source : Discard,
        _ => Echo,
    };
}
