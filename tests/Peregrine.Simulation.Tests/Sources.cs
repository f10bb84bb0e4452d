// Where the sources lie: some tests compare with what is kept in the repository.
namespace Peregrine.Simulation.Tests;

internal static class Sources
{
    /// <summary>The folder of Peregrine.slnx, above the test program.</summary>
    internal static string Root { get; } = Find();

    private static string Find()
    {
        var folder = new DirectoryInfo(AppContext.BaseDirectory);
        while (!File.Exists(Path.Combine(folder.FullName, "Peregrine.slnx"))) folder = folder.Parent ?? throw new DirectoryNotFoundException("This test needs the repository around it.");
        return folder.FullName;
    }
}
