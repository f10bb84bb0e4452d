// The numbers by which TCP options are told apart.
namespace Peregrine.Wire;

/// <summary>Kind numbers of TCP options (IANA).</summary>
public static class TcpOptionKind
{
    /// <summary>End of option list (RFC 9293 §3.2).</summary>
    public const byte EndOfList = 0;

    /// <summary>No-operation (RFC 9293 §3.2).</summary>
    public const byte NoOperation = 1;

    /// <summary>Maximum segment size (RFC 9293 §3.2).</summary>
    public const byte Mss = 2;

    /// <summary>Window scale (RFC 7323 §2.2).</summary>
    public const byte WindowScale = 3;

    /// <summary>SACK permitted (RFC 2018 §2).</summary>
    public const byte SackPermitted = 4;

    /// <summary>SACK (RFC 2018 §3).</summary>
    public const byte Sack = 5;

    /// <summary>Timestamps (RFC 7323 §3.2).</summary>
    public const byte Timestamps = 8;

    /// <summary>MD5 signature (RFC 2385).</summary>
    public const byte Md5 = 19;

    /// <summary>User time-out (RFC 5482).</summary>
    public const byte UserTimeout = 28;

    /// <summary>TCP authentication option (RFC 5925 §2.2).</summary>
    public const byte Authentication = 29;

    /// <summary>Multipath TCP (RFC 8684 §3).</summary>
    public const byte Mptcp = 30;

    /// <summary>Fast open cookie (RFC 7413 §4.1.1).</summary>
    public const byte FastOpen = 34;

    /// <summary>Accurate ECN's byte counters, those of ECT(0) first (RFC 9768 §3.2.3).</summary>
    public const byte AccurateEcn0 = 172;

    /// <summary>Accurate ECN's byte counters, those of ECT(1) first (RFC 9768 §3.2.3).</summary>
    public const byte AccurateEcn1 = 174;

    /// <summary>Shared by experiments, which say by two more bytes which one they are (RFC 6994 §3).</summary>
    public const byte Experimental = 254;
}
