// What congestion window validation measures (RFC 7661). It lies in a record of the pool, from when the window is larger than an initial one until congestion or
// the connection's end, so that only a connection whose window can be too large carries it. Where no record is free nothing is validated and RFC 5681's restart
// holds. Only WindowValidation writes it.
using System.Runtime.InteropServices;
using Peregrine.Core.Time;

namespace Peregrine.Core.Tcp.Recovery;

[Flags]
internal enum ValidationFlags : byte
{
    None = 0,

    /// <summary>A sample is being taken.</summary>
    Sampling = 1,

    /// <summary>pipeACK has a value.</summary>
    Defined = 2,

    /// <summary>A recovery that began in the non-validated phase.</summary>
    Repairing = 4,
}

/// <summary>How much of the window was used lately: no larger than a <see cref="TransmissionRecord"/>.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 4)]
internal struct ValidationState
{
    /// <summary>What was delivered since <see cref="SampleStart"/>; while repairing what was delivered of retransmissions, the R of RFC 7661 §4.4.1.</summary>
    internal uint Sample;

    /// <summary>When the sample began: a <see cref="TimeStamp32"/>.</summary>
    internal uint SampleStart;

    /// <summary>The largest sample of this half of the sampling period; while repairing Max(pipeACK, LossFlightSize).</summary>
    internal uint Highest;

    /// <summary>The largest sample of the half before.</summary>
    internal uint HighestBefore;

    /// <summary>When this half of the sampling period began.</summary>
    internal Deadline HalfStart;

    /// <summary>Since when the window has not been validated.</summary>
    internal Deadline Since;

    internal ValidationFlags Flags;

    /// <summary>RFC 7661 §4.2: pipeACK, with <see cref="ValidationFlags.Defined"/>.</summary>
    internal readonly uint PipeAck => Math.Max(Highest, HighestBefore);

    internal readonly bool Has(ValidationFlags flags) => (Flags & flags) != 0;
}
