// The host's needs on Linux: memory, sleep, processors, entropy. No links here.
using Peregrine.Core.Links;
using Peregrine.Core.Memory;
using Peregrine.Drivers.Linux;

namespace Peregrine.Drivers;

/// <summary>What Linux gives to a core. Without state: one can serve all cores.</summary>
public sealed class LinuxPlatform : ICorePlatform
{
    private const int ProcessorCountMax = 1024;

    /// <summary>Maps memory: huge pages of 2 MiB where wanted and had, else ordinary pages; see docs/internals/links.md for the order.</summary>
    /// <inheritdoc cref="ICorePlatform.MapRegion"/>
    public MemoryRegion MapRegion(nuint bytes, bool hugePages) => RegionMapping.Map(bytes, hugePages);

    /// <inheritdoc/>
    public IWaiter CreateWaiter() => new LinuxWaiter();

    /// <inheritdoc/>
    public bool PinCurrentThread(int cpu)
    {
        if ((uint)cpu >= ProcessorCountMax) return false;
        Span<ulong> mask = stackalloc ulong[ProcessorCountMax / 64];
        mask.Clear();
        mask[cpu / 64] = 1UL << (cpu % 64);
        return !Posix.SetAffinity(mask).IsError;
    }

    /// <inheritdoc/>
    public void DropPrivileges(string user) => Privileges.DropTo(user);

    /// <inheritdoc/>
    public void GiveFile(string path, string user) => Privileges.GiveFile(path, user);

    /// <inheritdoc/>
    public void FillEntropy(Span<byte> destination)
    {
        while (!destination.IsEmpty)
        {
            var got = Posix.GetRandom(destination);
            if (got.Errno == Errno.EINTR) continue;
            destination = destination[got.ThrowIfError("the kernel gives no entropy").Int32..];
        }
    }
}
