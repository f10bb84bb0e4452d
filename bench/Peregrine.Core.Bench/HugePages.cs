// Memory as the host gives it to a stack: transparent huge pages where the kernel grants them, else ordinary ones.
using System.Runtime.InteropServices;
using Peregrine.Core.Memory;

namespace Peregrine.Core.Bench;

internal static unsafe partial class HugePages
{
    private const int AdviseHugePage = 14;
    private const nuint Size = 2 << 20;

    public static MemoryRegion Allocate(nuint length)
    {
        length = (length + Size - 1) / Size * Size;
        var address = NativeMemory.AlignedAlloc(length, Size);
        var huge = Environment.GetEnvironmentVariable("SMALL_PAGES") is null && Advise(address, length, AdviseHugePage) == 0;
        NativeMemory.Clear(address, length);
        return new MemoryRegion((nint)address, length, huge ? "huge pages on request" : "native", -1, static (a, _) => NativeMemory.AlignedFree((void*)a));
    }

    [LibraryImport("libc", EntryPoint = "madvise")]
    private static partial int Advise(void* address, nuint length, int advice);
}
