// Where a flow's packets go, as a connection remembers it: valid while the IP layer's generation is the same.
namespace Peregrine.Core.Ip;

internal struct FlowPath
{
    internal uint Generation;
    internal uint Neighbour;
    internal ushort InterfaceIndex;
    internal ushort Mtu;
}
