// Loss recovery's and round-trip measurement's parts of a TCB.
namespace Peregrine.Core.Tcp.Recovery;

internal struct RttState
{
    internal uint Srtt;
}

internal struct RecoveryState
{
    internal uint Head;
}
