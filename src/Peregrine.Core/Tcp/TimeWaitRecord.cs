// What is kept of a connection in TIME-WAIT: enough to answer what still comes and to judge a new SYN. No queues, no options, no timers.
using System.Runtime.InteropServices;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Core.Tcp;

/// <summary>A connection in TIME-WAIT; 88 bytes.</summary>
[StructLayout(LayoutKind.Sequential, Pack = 4)]
internal struct TimeWaitRecord
{
    /// <summary>Our address.</summary>
    internal IpAddress Local;

    /// <summary>The peer's address.</summary>
    internal IpAddress Remote;

    /// <summary>Hash in the demux table.</summary>
    internal ulong Hash;

    /// <summary>After our FIN.</summary>
    internal SeqNumber SndNxt;

    /// <summary>After the peer's FIN.</summary>
    internal SeqNumber RcvNxt;

    /// <summary>Receive window in bytes, as last announced.</summary>
    internal uint RcvWnd;

    /// <summary>TS.Recent, with <see cref="Timestamps"/>.</summary>
    internal uint TsRecent;

    /// <summary>When TS.Recent was set.</summary>
    internal Deadline TsRecentAge;

    /// <summary>Offset of our timestamps.</summary>
    internal uint TsOffset;

    /// <summary>When the record goes. Set by the table.</summary>
    internal Deadline Expires;

    /// <summary>Which use of the slot this is. Set by the table.</summary>
    internal uint Generation;

    /// <summary>Neighbours in the order of expiry. Set by the table.</summary>
    internal uint Older, Newer;

    /// <summary>Our port.</summary>
    internal ushort LocalPort;

    /// <summary>The peer's port.</summary>
    internal ushort RemotePort;

    /// <summary>Shift of the windows that we announce.</summary>
    internal byte RcvScale;

    /// <summary>Traffic class and hop limit of our ACKs.</summary>
    internal SegmentMarks Marks;

    /// <summary>Whether the connection used timestamps.</summary>
    internal bool Timestamps;

    /// <summary>Whether the slot is in use. Set by the table.</summary>
    internal bool InUse;

    /// <summary>Whether the record is this tuple's.</summary>
    internal readonly bool Matches(in IpAddress local, ushort localPort, in IpAddress remote, ushort remotePort) =>
        RemotePort == remotePort && LocalPort == localPort && Remote == remote && Local == local;

    /// <summary>The window field of our ACKs.</summary>
    internal readonly UnscaledWindow Window => new WindowSize(RcvWnd) >> new WindowScale(RcvScale);
}
