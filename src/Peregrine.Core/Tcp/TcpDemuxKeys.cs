// Compares the tuple of a demux entry with a segment's: the entry's kind says in which table its addresses are.
using System.Runtime.CompilerServices;
using Peregrine.Core.Demux;
using Peregrine.Wire;

namespace Peregrine.Core.Tcp;

internal readonly struct TcpDemuxKeys(TcbTable tcbs, TimeWaitTable timeWaits, SynBacklog synBacklog) : IDemuxKeys
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public bool Matches(DemuxKind kind, uint index, in IpAddress local, ushort localPort, in IpAddress remote, ushort remotePort)
    {
        if (kind != DemuxKind.Tcb) return MatchesRecord(kind, index, local, localPort, remote, remotePort);
        ref var c = ref tcbs.Get(index).C;
        return c.RemotePort == remotePort && c.LocalPort == localPort && c.Remote == remote && c.Local == local;
    }

    private bool MatchesRecord(DemuxKind kind, uint index, in IpAddress local, ushort localPort, in IpAddress remote, ushort remotePort) =>
        kind == DemuxKind.TimeWait
            ? timeWaits.Get(index).Matches(local, localPort, remote, remotePort)
            : synBacklog.Get(index).Matches(local, localPort, remote, remotePort);
}
