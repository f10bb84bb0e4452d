// What was found lost at one ACK or timer, for a congestion control that looks at more than the sum: how many ranges apart from each
// other, and the first record whose loss was one too many for what was in flight when it was sent.
using Peregrine.Core.Tcp.Congestion.Bbr;
using Peregrine.Wire;

namespace Peregrine.Core.Tcp.Recovery;

internal struct LossTally
{
    /// <summary>Somebody wants to know.</summary>
    internal bool IsWanted;

    /// <summary>Bytes found lost in all, modulo 2³²: before, and now.</summary>
    internal uint Lost;

    /// <summary>Where the last lost range ends; and ranges since that do not go on from the one before.</summary>
    internal SeqNumber LastEnd;
    internal uint RangeCount;

    /// <summary>More was lost than <see cref="BbrLoss.Exceeds"/> allows, when the first record was for which that holds.</summary>
    internal bool HasExcess;
    internal bool ExcessIsAppLimited;
    internal uint ExcessLength;
    internal uint ExcessTxInFlight;

    /// <summary>What was lost from the sending of that record on, itself included.</summary>
    internal uint ExcessLost;

    internal void Add(in TransmissionRecord record)
    {
        if (!IsWanted) return;
        Lost += record.Length;
        if (RangeCount == 0 || record.Seq != LastEnd) RangeCount++;
        LastEnd = record.End;
        var lost = Lost - record.Lost;
        if (HasExcess || !BbrLoss.Exceeds(lost, record.TxInFlight)) return;
        HasExcess = true;
        ExcessIsAppLimited = record.Has(RecordFlags.AppLimited);
        (ExcessLength, ExcessTxInFlight, ExcessLost) = (record.Length, record.TxInFlight, lost);
    }
}
