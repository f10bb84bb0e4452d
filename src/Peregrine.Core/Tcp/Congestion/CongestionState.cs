// The congestion control's part of a TCB.
namespace Peregrine.Core.Tcp.Congestion;

internal struct CongestionState
{
    internal uint Wmax;
}
