// Where the built assemblies of the rooms are, and whether they are those of the sources as they stand. Builds nothing.
namespace Peregrine.Tidy;

internal static class BuiltAssembly
{
    /// <summary>The room's assembly for the newest target; fails where it is missing or older than a source of the room.</summary>
    public static string PathOf(string room)
    {
        var folder = Repository.Absolute($"artifacts/bin/{room}");
        var found = new[] { "release_net10.0", "release" }.Select(configuration => Path.Combine(folder, configuration, room + ".dll"))
            .Where(File.Exists).OrderByDescending(File.GetLastWriteTimeUtc).FirstOrDefault();
        Assert.True(found is not null, $"{room} is not built: dotnet build Peregrine.slnx -c Release");
        var newest = Repository.ProductSources.Where(source => source.Room == room).Select(source => Repository.Absolute(source.Path))
            .MaxBy(File.GetLastWriteTimeUtc);
        Assert.True(newest is null || File.GetLastWriteTimeUtc(newest) <= File.GetLastWriteTimeUtc(found),
            $"{newest} is newer than {found}: dotnet build Peregrine.slnx -c Release");
        return found;
    }
}
