// The congestion control's part of a TCB: 24 bytes, checked by a test. Each algorithm uses what it needs.
using System.Runtime.InteropServices;

namespace Peregrine.Core.Tcp.Congestion;

/// <summary>Per-connection numbers of a congestion control; windows are in bytes.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 4)]
internal struct CongestionState
{
    /// <summary>Acknowledged bytes not yet turned into window (RFC 5681 §3.1; for CUBIC those of the Reno estimate).</summary>
    internal uint AckedBytes;

    /// <summary>CUBIC: window before the last reduction, perhaps lowered by fast convergence; 0 for none.</summary>
    internal uint Wmax;

    /// <summary>CUBIC: time from the epoch to the plateau, in units of 2²⁰ ns.</summary>
    internal uint K;

    /// <summary>CUBIC: time since the epoch without what was limited by the application, in units of 256 ns; the epoch has not begun while it is <see cref="NoEpoch"/>.</summary>
    internal uint Elapsed;

    /// <summary>CUBIC: the window that Reno would have.</summary>
    internal uint West;

    /// <summary>CUBIC: the window before ssthresh was last set.</summary>
    internal uint CwndPrior;

    /// <summary>HyStart++: the shortest round trip of the round before, in microseconds; 0 for none. CUBIC's K comes later.</summary>
    internal uint LastRoundRtt
    {
        readonly get => K;
        set => K = value;
    }

    /// <summary>HyStart++: the shortest round trip of this round.</summary>
    internal uint RoundRtt
    {
        readonly get => West;
        set => West = value;
    }

    /// <summary>HyStart++: the round trip at which conservative slow start began.</summary>
    internal uint BaselineRtt
    {
        readonly get => CwndPrior;
        set => CwndPrior = value;
    }

    /// <summary>DCTCP.Alpha (RFC 8257 §3.3) in units of 1/65,536.</summary>
    internal uint MarkedShare
    {
        readonly get => Wmax;
        set => Wmax = value;
    }

    /// <summary>DCTCP.WindowEnd, a sequence number; 0 before the first window.</summary>
    internal uint WindowEnd
    {
        readonly get => K;
        set => K = value;
    }

    /// <summary>DCTCP.BytesAcked.</summary>
    internal uint WindowAcked
    {
        readonly get => Elapsed;
        set => Elapsed = value;
    }

    /// <summary>DCTCP.BytesMarked.</summary>
    internal uint WindowMarked
    {
        readonly get => West;
        set => West = value;
    }

    /// <summary>BBR: the number of its <see cref="Bbr.BbrModel"/>.</summary>
    internal uint Model
    {
        readonly get => K;
        set => K = value;
    }

    /// <summary>Forgets what HyStart++ kept: CUBIC finds its fields as at the start.</summary>
    internal void ClearSlowStart() => (AckedBytes, K, West, CwndPrior) = (0, 0, 0, 0);

    internal const uint NoEpoch = uint.MaxValue;
}
