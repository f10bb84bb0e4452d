// What Accurate ECN keeps of a connection: the counters of both its roles, and what is known of the path. It lies in a table of its own.
using System.Runtime.InteropServices;
using Peregrine.Wire;

namespace Peregrine.Core.Tcp.AccurateEcn;

[Flags]
internal enum AccurateEcnFlags : ushort
{
    None = 0,

    /// <summary>The final ACK of the handshake is owed: a pure one, which tells how the SYN-ACK arrived.</summary>
    HandshakeAckOwed = 1,

    /// <summary>We send nothing ECN-capable: the path mangles, or one of the handshake's segments asked for nothing.</summary>
    NotCapable = 2,

    /// <summary>Feedback means nothing: the field arrives zeroed.</summary>
    IgnoresFeedback = 4,

    /// <summary>Options that arrive mean nothing: they were zeroed.</summary>
    IgnoresOptions = 8,

    /// <summary>We send no options: they do not pass.</summary>
    SendsNoOption = 0x10,

    /// <summary>A byte counter has changed since the last option.</summary>
    OptionDue = 0x20,

    /// <summary>Counters that have changed at some time.</summary>
    Ect0Seen = 0x40,
    Ect1Seen = 0x80,
    CeSeen = 0x100,

    /// <summary>The latest packet was marked.</summary>
    LastWasCe = 0x200,

    /// <summary>The first feedback after the handshake has been looked at.</summary>
    FeedbackSeen = 0x400,

    /// <summary>The first segment of data with an option is in flight, at <see cref="AccurateEcnState.FirstOptionSeq"/>.</summary>
    FirstOptionSent = 0x800,

    /// <summary>An option has arrived.</summary>
    OptionSeen = 0x1000,
}

/// <summary>One connection's state. Byte counters are of 32 bits and wrap; 24 of them go on the wire.</summary>
[StructLayout(LayoutKind.Sequential)]
internal struct AccurateEcnState
{
    /// <summary>RFC 9768 §3.2.1.</summary>
    internal const uint InitialCe = 5;

    /// <summary>The connection's TCB plus one; 0 for none. The table's.</summary>
    internal uint Key;

    /// <summary>As receiver: r.cep, r.ceb, r.e0b, r.e1b.</summary>
    internal uint ReceivedCe;
    internal uint ReceivedCeBytes;
    internal uint ReceivedEct0Bytes;
    internal uint ReceivedEct1Bytes;

    /// <summary>As sender: s.cep, s.ceb, s.e0b, s.e1b; the last two for tools alone.</summary>
    internal uint SentCe;
    internal uint SentCeBytes;
    internal uint SentEct0Bytes;
    internal uint SentEct1Bytes;

    /// <summary>The timestamp of the latest feedback: tells an old ACK from one that acknowledges nothing new.</summary>
    internal uint FeedbackStamp;
    internal SeqNumber FirstOptionSeq;
    internal AccurateEcnFlags Flags;

    /// <summary>Marks since the last ACK that we sent.</summary>
    internal byte CeSinceAck;

    /// <summary>The IP-ECN field of the latest SYN or SYN-ACK of the peer.</summary>
    internal byte SynField;

    internal readonly bool Has(AccurateEcnFlags flags) => (Flags & flags) != 0;

    internal static AccurateEcnState Initial => new()
    {
        ReceivedCe = InitialCe, ReceivedEct0Bytes = 1, ReceivedEct1Bytes = 1, SentCe = InitialCe, SentEct0Bytes = 1, SentEct1Bytes = 1, Flags = AccurateEcnFlags.OptionDue,
    };

    /// <summary>What there is to tell, counted from 0.</summary>
    internal readonly TcpAccurateEcnInfo Info => new()
    {
        MarkedSegmentsReceived = ReceivedCe - InitialCe,
        MarkedBytesReceived = ReceivedCeBytes,
        Ect0BytesReceived = ReceivedEct0Bytes - 1,
        Ect1BytesReceived = ReceivedEct1Bytes - 1,
        MarkedSegmentsDelivered = SentCe - InitialCe,
        MarkedBytesDelivered = SentCeBytes,
        Ect0BytesDelivered = SentEct0Bytes - 1,
        Ect1BytesDelivered = SentEct1Bytes - 1,
        OptionSeen = Has(AccurateEcnFlags.OptionSeen),
        Failures = (Has(AccurateEcnFlags.NotCapable) ? TcpAccurateEcnFailures.NotCapable : 0) | (Has(AccurateEcnFlags.IgnoresFeedback) ? TcpAccurateEcnFailures.FeedbackIgnored : 0)
            | (Has(AccurateEcnFlags.SendsNoOption) ? TcpAccurateEcnFailures.OptionNotSent : 0) | (Has(AccurateEcnFlags.IgnoresOptions) ? TcpAccurateEcnFailures.OptionIgnored : 0),
    };
}
