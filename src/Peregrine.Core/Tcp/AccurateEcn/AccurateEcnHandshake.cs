// What SYN, SYN-ACK and the final ACK agree on (RFC 9768 §3.1), and what they tell of how they arrived (tables 2 to 4).
using Peregrine.Core.Tcp.Recovery;
using Peregrine.Wire;

namespace Peregrine.Core.Tcp.AccurateEcn;

internal static class AccurateEcnHandshake
{
    internal const TcpFlags Bits = TcpFlags.Ae | TcpFlags.Cwr | TcpFlags.Ece;

    /// <summary>RFC 9768 §3.1.4.1: a SYN that asks is repeated once as it is; after that a path that drops such SYNs is taken for possible.</summary>
    internal const int AskingSynCountMax = 2;

    private const byte NotEct = 0;
    private const byte Ect1 = 1;
    private const byte Ect0 = 2;
    private const byte Ce = 3;

    /// <summary>RFC 9768 §3.1.1, RFC 9768 §3.1.3: whether a SYN asks for it: all three bits, or a combination that has no meaning yet.</summary>
    internal static bool IsAskedFor(TcpFlags syn) => (syn & Bits) is not (TcpFlags.None or (TcpFlags.Cwr | TcpFlags.Ece));

    /// <summary>RFC 9768 §3.1.2, table 2: whether a SYN-ACK grants it; 1,0,1 has no meaning yet and counts (§3.1.3).</summary>
    internal static bool IsGranted(TcpFlags synAck) => (synAck & Bits) is not (TcpFlags.None or TcpFlags.Ece or Bits);

    /// <summary>RFC 9768 §3.1.1, tables 2 and 3: the three bits that tell which IP-ECN field a SYN or SYN-ACK arrived with.</summary>
    internal static TcpFlags Encode(byte field) => field switch
    {
        Ect1 => TcpFlags.Cwr | TcpFlags.Ece,
        Ect0 => TcpFlags.Ae,
        Ce => TcpFlags.Ae | TcpFlags.Cwr,
        _ => TcpFlags.Cwr,
    };

    /// <summary>RFC 9768 tables 2 and 4: which IP-ECN field ours arrived with; as sent where the bits have no meaning.</summary>
    internal static byte Decode(TcpFlags bits, byte sent) => (bits & Bits) switch
    {
        TcpFlags.Cwr => NotEct,
        TcpFlags.Cwr | TcpFlags.Ece => Ect1,
        TcpFlags.Ae => Ect0,
        TcpFlags.Ae | TcpFlags.Cwr => Ce,
        _ => sent,
    };

    /// <summary>RFC 9768 §3.2.2.3: changes that no router may make: something became ECN-capable, or stopped being so.</summary>
    internal static bool IsMangled(byte sent, byte arrived) => sent == NotEct ? arrived != NotEct : arrived == NotEct;

    /// <summary>RFC 9768 §3.2.2.2: our SYN was granted: what the SYN-ACK tells about our SYN, and what we have to tell about it.</summary>
    internal static void OnSynAck(ref AccurateEcnState state, in SegmentArrival s, byte field, byte sent)
    {
        NoteSynAck(ref state, field);
        if (IsMangled(sent, Decode(s.Flags, sent))) state.Flags |= AccurateEcnFlags.NotCapable;
        TakeFirstOption(ref state, s.Options);
    }

    /// <summary>RFC 9768 §3.2.2.1: a SYN-ACK is answered by how it arrived, one that is repeated too; the mark is counted once.</summary>
    internal static void NoteSynAck(ref AccurateEcnState state, byte field)
    {
        state.SynField = field;
        state.Flags |= AccurateEcnFlags.HandshakeAckOwed;
        if (field == Ce) state.ReceivedCe = AccurateEcnState.InitialCe + 1;
    }

    /// <summary>RFC 9768 §3.2.2.1, table 4: the ACK that completes a passive open. True: our SYN-ACK was marked.</summary>
    internal static bool OnFinalAck(ref AccurateEcnState state, in SegmentArrival s, byte sent)
    {
        TakeFirstOption(ref state, s.Options);
        if (s.Length != 0 || s.Options.SackBlockCount != 0) return false;
        if ((s.Flags & Bits) == TcpFlags.None)
        {
            // Note 1: the client is not where we are, or the path zeroes.
            state.Flags |= AccurateEcnFlags.NotCapable | AccurateEcnFlags.IgnoresFeedback;
            return false;
        }
        var arrived = Decode(s.Flags, sent);
        if (IsMangled(sent, arrived)) state.Flags |= AccurateEcnFlags.NotCapable;
        if (arrived == Ce) state.SentCe = AccurateEcnState.InitialCe + 1;
        // This ACK's field is no counter.
        state.Flags |= AccurateEcnFlags.FeedbackSeen;
        return arrived == Ce;
    }

    // RFC 9768 §3.2.3.2.3, RFC 9768 §3.2.3.2.4: whether options arrive, and as they were sent: neither counter begins at zero.
    private static void TakeFirstOption(ref AccurateEcnState state, in TcpOptions options)
    {
        if (!options.HasAccurateEcn) return;
        var option = options.AccurateEcn;
        state.Flags |= AccurateEcnFlags.OptionSeen;
        if ((option.HasEct0 && option.Ect0Bytes == 0) || (option.HasEct1 && option.Ect1Bytes == 0)) state.Flags |= AccurateEcnFlags.IgnoresOptions;
    }
}
