// Maps the memory that a stack's pools are cut from: huge pages where wanted and possible, else ordinary ones; always says which.
// Pages are zeroed by the kernel and, unless they are reserved huge pages, taken at the first touch.
using Peregrine.Core.Memory;

namespace Peregrine.Drivers.Linux;

internal static class RegionMapping
{
    private const nuint HugePage = 2 << 20;
    private const int ReadWrite = MapFlags.Read | MapFlags.Write;
    private const string HugePageFolder = "/sys/kernel/mm/transparent_hugepage/";

    /// <summary>Maps at least <paramref name="bytes"/>.</summary>
    public static MemoryRegion Map(nuint bytes, bool hugePages)
    {
        ArgumentOutOfRangeException.ThrowIfZero(bytes);
        // Advising only helps where the setting allows it: a memfd and private memory have a setting each.
        var region = hugePages
            ? TryReserved(bytes)
                ?? (IsAllowed("shmem_enabled") ? TryDescriptor(bytes, advise: true) : null)
                ?? (IsAllowed("enabled") ? TryAnonymous(bytes, advise: true) : null)
            : null;
        return region ?? TryDescriptor(bytes, advise: false) ?? TryAnonymous(bytes, advise: false)
            ?? throw new InsufficientMemoryException(
                $"The kernel gives no {bytes >> 20} MiB of memory: lower the limits on connections, or raise the limit of the process (ulimit -v, the memory cgroup).");
    }

    private static MemoryRegion? TryReserved(nuint bytes)
    {
        var file = Posix.CreateMemoryDescriptor("peregrine", MapFlags.DescriptorHugePages | MapFlags.DescriptorHuge2MiB);
        if (file.IsError) return null;
        var length = RoundUp(bytes, HugePage);
        // The mapping reserves its pages, and populating takes them, so that a shortage shows here and not as a fault on first touch.
        return FromDescriptor(file.Int32, length, MapFlags.Populate, 0, "memfd, reserved huge pages of 2 MiB");
    }

    private static MemoryRegion? TryDescriptor(nuint bytes, bool advise)
    {
        var file = Posix.CreateMemoryDescriptor("peregrine", 0);
        if (file.IsError) return null;
        return advise
            ? FromDescriptor(file.Int32, RoundUp(bytes, HugePage), 0, HugePage, "memfd, transparent huge pages")
            : FromDescriptor(file.Int32, RoundUp(bytes, Posix.PageSize), 0, 0, $"memfd, pages of {Posix.PageSize >> 10} KiB");
    }

    private static MemoryRegion? FromDescriptor(int file, nuint length, int flags, nuint alignment, string description)
    {
        var mapped = Posix.Truncate(file, length).IsError ? 0 : MapAligned(length, MapFlags.Shared | flags, file, alignment);
        if (mapped == 0)
        {
            Posix.Close(file);
            return null;
        }
        return new MemoryRegion(mapped, length, description, file, (address, size) =>
        {
            Posix.Unmap(address, size);
            Posix.Close(file);
        });
    }

    private static MemoryRegion? TryAnonymous(nuint bytes, bool advise)
    {
        var length = RoundUp(bytes, advise ? HugePage : Posix.PageSize);
        var mapped = MapAligned(length, MapFlags.Private | MapFlags.Anonymous, -1, advise ? HugePage : 0);
        return mapped == 0
            ? null
            : new MemoryRegion(mapped, length, advise ? "private, transparent huge pages" : $"private, pages of {Posix.PageSize >> 10} KiB", -1,
                static (address, size) => Posix.Unmap(address, size));
    }

    /// <summary>Maps; with an alignment it also advises huge pages. 0 when it failed.</summary>
    private static nint MapAligned(nuint length, int flags, int file, nuint alignment)
    {
        if (alignment == 0)
        {
            var plain = Posix.Map(0, length, ReadWrite, flags, file);
            return plain.IsError ? 0 : plain.Value;
        }
        // A huge page needs an aligned address: reserve enough to find one, map over it, and give both ends back.
        var reserved = Posix.Map(0, length + alignment, MapFlags.None, MapFlags.Private | MapFlags.Anonymous | MapFlags.NoReserve, -1);
        if (reserved.IsError) return 0;
        var start = (nint)RoundUp((nuint)reserved.Value, alignment);
        var mapped = Posix.Map(start, length, ReadWrite, flags | MapFlags.Fixed, file);
        if (mapped.IsError)
        {
            Posix.Unmap(reserved.Value, length + alignment);
            return 0;
        }
        var before = (nuint)(start - reserved.Value);
        if (before > 0) Posix.Unmap(reserved.Value, before);
        if (before < alignment) Posix.Unmap(start + (nint)length, alignment - before);
        Posix.Advise(start, length, MapFlags.AdviseHugePage);
        return start;
    }

    private static bool IsAllowed(string setting)
    {
        try
        {
            var text = File.ReadAllText(HugePageFolder + setting);
            return !text.Contains("[never]", StringComparison.Ordinal) && !text.Contains("[deny]", StringComparison.Ordinal);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }

    private static nuint RoundUp(nuint value, nuint unit) => (value + unit - 1) / unit * unit;
}
