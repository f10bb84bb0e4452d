// The receiver's half of Accurate ECN: packets and bytes are counted by the field that they arrived with, and told in every segment: the
// marked packets by three bits, the bytes by an option where there is room (RFC 9768 §3.2).
using Peregrine.Wire;

namespace Peregrine.Core.Tcp.AccurateEcn;

internal static class AccurateEcnReceiver
{
    // RFC 9768 §3.2.2.5.1: marks that an ACK has to tell of at the latest, while data are unacknowledged and while none are.
    private const int CePerAckMax = 2;
    private const int CePerAckMaxWithoutData = 3;

    /// <summary>An acceptable segment that is no SYN.</summary>
    /// <returns>Whether it has to be acknowledged at once.</returns>
    internal static bool OnSegment(ref AccurateEcnState state, in SegmentArrival s, byte field, bool hasUnacknowledged)
    {
        CountBytes(ref state, field, (uint)s.PayloadLength);
        var wasCe = state.Has(AccurateEcnFlags.LastWasCe);
        if (field != 3)
        {
            state.Flags &= ~AccurateEcnFlags.LastWasCe;
            return false;
        }
        state.Flags |= AccurateEcnFlags.LastWasCe;
        state.ReceivedCe += (uint)s.SegmentCount;
        state.CeSinceAck = (byte)Math.Min(state.CeSinceAck + s.SegmentCount, byte.MaxValue);
        // RFC 9768 §3.2.2.5.1: data that are marked after what was not, and every second mark (third, without data of the peer).
        if (s.PayloadLength > 0 && !wasCe) return true;
        return state.CeSinceAck >= (hasUnacknowledged || s.PayloadLength > 0 ? CePerAckMax : CePerAckMaxWithoutData);
    }

    /// <summary>RFC 9768 §3.2.2.2: the three bits of a segment that goes: the count of marked packets, or how the SYN-ACK arrived.</summary>
    internal static TcpFlags Bits(ref AccurateEcnState state, bool isPureAck)
    {
        state.CeSinceAck = 0;
        if (!isPureAck || !state.Has(AccurateEcnFlags.HandshakeAckOwed)) return ToFlags(state.ReceivedCe);
        state.Flags &= ~AccurateEcnFlags.HandshakeAckOwed;
        return AccurateEcnHandshake.Encode(state.SynField);
    }

    /// <summary>The count's low bits in the place of AE, CWR and ECE (RFC 9768 figure 3).</summary>
    internal static TcpFlags ToFlags(uint count) => (TcpFlags)((count & 7) << 6);

    /// <summary>RFC 9768 §3.2.3.3: an option where a byte counter has changed since the last one, with each counter that ever has.</summary>
    internal static void AddOption(ref AccurateEcnState state, ref TcpOptions options)
    {
        // A signature takes the room (RFC 9768 §3.2.3.2.1: it may).
        if (!state.Has(AccurateEcnFlags.OptionDue) || state.Has(AccurateEcnFlags.SendsNoOption) || options.HasSignature) return;
        var option = MakeOption(state);
        // RFC 9768 §3.2.3.3: two SACK blocks go before it.
        var blocks = Math.Min(options.SackBlockCount, 2);
        var room = TcpOptions.LengthMax - (options.HasTimestamps ? TcpOptions.TimestampsLength : 0) - (blocks > 0 ? 4 + (8 * blocks) : 0);
        if (((option.Length + 3) & ~3) > room) return;
        options.AccurateEcn = option;
        state.Flags &= ~AccurateEcnFlags.OptionDue;
    }

    /// <summary>As much as has changed at some time, in the order that needs fewer fields (RFC 9768 §3.2.3 table 5).</summary>
    internal static AccurateEcnOption MakeOption(in AccurateEcnState state)
    {
        var (ect0, ect1, ce) = (state.Has(AccurateEcnFlags.Ect0Seen), state.Has(AccurateEcnFlags.Ect1Seen), state.Has(AccurateEcnFlags.CeSeen));
        var order = ect1 && !ect0 ? 1 : 0;
        var count = ect0 && ect1 ? 3 : ce ? 2 : 1;
        return new AccurateEcnOption(order, count, Low(state.ReceivedEct0Bytes), Low(state.ReceivedCeBytes), Low(state.ReceivedEct1Bytes));
    }

    private static void CountBytes(ref AccurateEcnState state, byte field, uint bytes)
    {
        if (bytes == 0 || field == 0) return;
        state.Flags |= AccurateEcnFlags.OptionDue;
        switch (field)
        {
            case 1:
                state.ReceivedEct1Bytes += bytes;
                state.Flags |= AccurateEcnFlags.Ect1Seen;
                break;
            case 2:
                state.ReceivedEct0Bytes += bytes;
                state.Flags |= AccurateEcnFlags.Ect0Seen;
                break;
            default:
                state.ReceivedCeBytes += bytes;
                state.Flags |= AccurateEcnFlags.CeSeen;
                break;
        }
    }

    private static uint Low(uint counter) => counter & (AccurateEcnOption.Modulus - 1);
}
