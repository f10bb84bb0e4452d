// What a receiver remembers beyond its TCB where it is to behave as Linux's to the packet: how its ACKs wait, and what a segment takes of its
// buffer. Beside the sender's history, so that a stack that does not ask for it pays nothing.
using System.Runtime.InteropServices;
using Peregrine.Wire;

namespace Peregrine.Core.Tcp;

/// <summary>The memory of one receiver.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 4)]
internal struct ReceiverMemory
{
    /// <summary>When data came last, in milliseconds.</summary>
    internal uint DataAtMs;

    /// <summary>How long an ACK waits for company at the moment, in milliseconds; 0 before data have come.</summary>
    internal ushort AckDelayMs;

    /// <summary>Bytes of the last segment that was smaller than <see cref="Tcb.RcvMss"/>.</summary>
    internal ushort LastSize;

    /// <summary>Bytes of data for 256 bytes of buffer; 0 before the connection is established.</summary>
    internal ushort Ratio;
    internal ReceiverFlags Flags;

    /// <summary>Bytes of the buffer, and those that what it holds takes.</summary>
    internal uint Buffer, Held;

    /// <summary>The largest window that the buffer allows, and the one that what came has earned.</summary>
    internal uint WindowMax, WindowLimit;

    /// <summary>The window that was advertised last.</summary>
    internal uint Offered;

    /// <summary>The gap (RCV.NXT) that <see cref="GapAcks"/> ACKs have told of at once.</summary>
    internal SeqNumber GapAt;
    internal byte GapAcks;

    /// <summary>ACKs that wait to go as one (<see cref="SackCompression"/>).</summary>
    internal byte Compressed;
}

[Flags]
internal enum ReceiverFlags : ushort
{
    None = 0,

    /// <summary>A small segment came since the last ACK: whoever reads all that there is has it acknowledged.</summary>
    Small = 1,

    /// <summary>More than one.</summary>
    SmallAgain = 2,
}
