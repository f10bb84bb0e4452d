// The queues' parts of a TCB: where a connection's send and receive data lie in the block pool.
namespace Peregrine.Core.Tcp.Queues;

internal struct SendQueueState
{
    internal uint Head;
}

internal struct ReceiveQueueState
{
    internal uint Head;
}

internal struct OutOfOrderState
{
    internal uint Intervals;
}
