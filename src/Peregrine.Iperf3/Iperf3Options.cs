// What the command line says, as one record. How it is read is in Iperf3Arguments; what both sides must know is a record within it.
namespace Peregrine.Iperf3;

/// <summary>What an iperf3 command line asks for.</summary>
public sealed record Iperf3Options
{
    /// <summary>Whether it is the server's side.</summary>
    public bool IsServer { get; internal init; }

    /// <summary>The file for output, or null for the standard output.</summary>
    public string? LogFile { get; internal init; }

    /// <summary>The file that the process's number goes to, or null.</summary>
    public string? PidFile { get; internal init; }

    /// <summary>The name to authenticate with, or null: then a password is needed.</summary>
    public string? UserName { get; internal init; }

    /// <summary>Whether output is to be flushed at every line.</summary>
    public bool ForceFlush { get; internal init; }

    /// <summary>The host that a client connects to, or null.</summary>
    public string? Server => Host;

    /// <summary>The port that a client connects to or a server listens on.</summary>
    public int ServerPort => Port;

    internal string? Host { get; init; }

    internal int Port { get; init; } = 5201;

    internal char Format { get; init; } = 'a';

    /// <summary>Seconds between reports; 0 for none.</summary>
    internal double Interval { get; init; } = 1;

    internal string? File { get; init; }

    /// <summary>The processor for this side, or -1.</summary>
    internal int Affinity { get; init; } = -1;

    internal string? Bind { get; init; }

    internal bool Verbose { get; init; }

    internal bool Json { get; init; }

    internal bool JsonStream { get; init; }

    internal bool JsonStreamFull { get; init; }

    /// <summary>A strftime format, or null.</summary>
    internal string? Timestamps { get; init; }

    internal int ReceiveTimeoutMs { get; init; } = 120_000;

    internal int SendTimeoutMs { get; init; }

    internal bool Debug { get; init; }

    internal bool OneOff { get; init; }

    /// <summary>Bits a second over all streams, or 0.</summary>
    internal double ServerBitrateLimit { get; init; }

    internal double ServerBitrateLimitSeconds { get; init; } = 5;

    internal double ServerMaxDuration { get; init; }

    internal int IdleTimeout { get; init; }

    internal string? RsaPrivateKeyPath { get; init; }

    internal string? AuthorizedUsersPath { get; init; }

    internal int TimeSkewThreshold { get; init; } = 10;

    internal string? RsaPublicKeyPath { get; init; }

    internal int ConnectTimeoutMs { get; init; } = -1;

    /// <summary>What the command line says of the test itself. A bitrate of -1 and a length of 0 are the protocol's defaults.</summary>
    internal TestParameters Test { get; init; } = new() { Bitrate = -1 };

    internal int? Seconds { get; init; }

    internal int ClientPort { get; init; }

    /// <summary>4, 6, or 0 for either.</summary>
    internal int Family { get; init; }

    internal bool UsePkcs1Padding { get; init; }

    /// <summary>Keepalive of the control connection: idle, interval, count; idle 0 for the stack's defaults, null for none.</summary>
    internal (int Idle, int Interval, int Count)? ControlKeepalive { get; init; }

    internal bool IsJson => Json || JsonStream;

    internal int DurationSeconds => Seconds ?? (Test.ByteCount > 0 || Test.BlockCount > 0 || File != null ? 0 : 10);
}
