// The stack under the tests: connections to own addresses loop inside it, so no link is needed.
using Peregrine.Core;
using Peregrine.Core.Memory;
using Peregrine.Core.Time;

namespace Peregrine.Sockets.Tests;

internal static class TestStack
{
    internal static NetworkStack Create(StackOptions? options = null)
    {
        options ??= new StackOptions
        {
            ConnectionCountMax = 1_024,
            TimeWaitCountMax = 1_024,
            SynBacklogCountMax = 256,
            ListenerCountMax = 64,
            FrameCount = 1_024,
            BlockCount = 4_096,
            TransmissionRecordCount = 4_096,
        };
        return new NetworkStack(options, MemoryRegion.Allocate(NetworkStack.BytesFor(options)), StackSecrets.FromSeed(7), 7, Instant.Zero);
    }
}
