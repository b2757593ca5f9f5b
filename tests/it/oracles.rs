//! Tree and notes agree with implementations of other hands.
//!
//! `ct-merkle` (RFC 6962), `tlog_tiles` (C2SP tlog-checkpoint) and `signed_note` (C2SP signed-note) are written by others and share no code with
//! ours but SHA-256.

use chrono::DateTime;
use countersign::evidence::merkle::{self, Edge, Hash, folded, is_consistent, node_hash, root_by_inclusion};
use countersign::evidence::note::{Checkpoint, PrivateKey, PublicKey};
use ct_merkle::RootHash;
use ct_merkle::mem_backed_tree::MemoryBackedTree;
use proptest::prelude::*;
use sha2::Sha256;
use signed_note::{Note, StandardSigner, StandardVerifier, VerifierList};
use tlog_tiles::{HashReader, check_record, check_tree, prove_record, prove_tree, stored_hashes, tree_hash};

/// Our tree over so many leaves, with every perfect subtree that it completed on the way.
struct Ours {
    edge: Edge,
    nodes: std::collections::HashMap<merkle::Node, Hash>,
}

impl Ours {
    fn of(leaves: &[Vec<u8>]) -> Self {
        let mut ours = Self { edge: Edge::default(), nodes: Default::default() };
        for leaf in leaves {
            ours.edge.push(merkle::leaf_hash(leaf), |node, hash| {
                ours.nodes.insert(node, hash);
            });
        }
        ours
    }

    fn range(&self, from: u64, to: u64) -> Hash {
        let parts: Vec<Hash> = merkle::parts(from, to).iter().map(|part| self.nodes[part]).collect();
        folded(&parts).unwrap_or_else(merkle::empty_root)
    }

    fn path(&self, ranges: Vec<(u64, u64)>) -> Vec<Hash> {
        ranges.into_iter().map(|(from, to)| self.range(from, to)).collect()
    }
}

/// Their storage.
#[derive(Default)]
struct Stored(Vec<tlog_tiles::Hash>);

impl HashReader for Stored {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<tlog_tiles::Hash>, tlog_tiles::Error> {
        Ok(indexes.iter().map(|index| self.0[*index as usize]).collect())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn roots_and_proofs_are_those_of_two_others(leaves in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..9), 1..200), a in any::<prop::sample::Index>(), b in any::<prop::sample::Index>()) {
        let size = leaves.len() as u64;
        let (index, old) = (a.index(leaves.len()) as u64, b.index(leaves.len()) as u64 + 1);
        let ours = Ours::of(&leaves);
        let root = ours.edge.root();

        let mut theirs = MemoryBackedTree::<Sha256, Vec<u8>>::new();
        let mut stored = Stored::default();
        for (n, leaf) in leaves.iter().enumerate() {
            theirs.push(leaf.clone());
            let more = stored_hashes(n as u64, leaf, &stored).unwrap();
            stored.0.extend(more);
        }
        let (their, proved) = (theirs.root(), theirs.prove_inclusion(index as usize));
        prop_assert_eq!(their.as_bytes().as_slice(), root.as_slice());
        let their_root = tree_hash(size, &stored).unwrap();
        prop_assert_eq!(their_root.0, root);

        // Inclusion: the same path, which proves the leaf to both, and no other leaf.
        let path = ours.path(merkle::inclusion(index, size));
        prop_assert_eq!(proved.as_bytes(), path.concat());
        let proof = prove_record(size, index, &stored).unwrap();
        prop_assert_eq!(proof.iter().map(|hash| hash.0).collect::<Vec<_>>(), path.clone());
        let leaf = merkle::leaf_hash(&leaves[index as usize]);
        prop_assert_eq!(root_by_inclusion(leaf, index, size, &path), Some(root));
        prop_assert!(check_record(&proof, size, their_root, index, tlog_tiles::Hash(leaf)).is_ok());
        prop_assert_ne!(root_by_inclusion(node_hash(&leaf, &leaf), index, size, &path), Some(root));

        // Consistency: the same again.
        let path = ours.path(merkle::consistency(old, size));
        let old_root = Ours::of(&leaves[..old as usize]).edge.root();
        if old < size {
            let theirs_proof = theirs.prove_consistency((size - old) as usize);
            prop_assert_eq!(theirs_proof.as_bytes(), path.concat());
            let was = RootHash::<Sha256>::new(old_root.into(), old);
            prop_assert!(theirs.root().verify_consistency(&was, &theirs_proof).is_ok());
        }
        let proof = prove_tree(size, old, &stored).unwrap();
        prop_assert_eq!(proof.iter().map(|hash| hash.0).collect::<Vec<_>>(), path.clone());
        prop_assert!(check_tree(&proof, size, their_root, old, tlog_tiles::Hash(old_root)).is_ok());
        prop_assert!(is_consistent(old, &old_root, size, &root, &path));
        prop_assert!(!is_consistent(old, &node_hash(&old_root, &root), size, &root, &path));
    }

    #[test]
    fn each_believes_what_the_other_signed_and_reads_its_checkpoint(seed in any::<[u8; 32]>(), size in any::<u32>(), root in any::<Hash>(), seconds in 0..4_000_000_000i64, name in "[a-z]{1,12}(\\.[a-z]{1,8}){0,3}(/[a-z0-9-]{1,12})?") {
        let key = PrivateKey::new(&name, seed).unwrap();
        let checkpoint = Checkpoint { origin: name.clone(), size: size.into(), root, at: DateTime::from_timestamp(seconds, 0).unwrap() };
        let text = checkpoint.text();

        let known = VerifierList::new(vec![Box::new(StandardVerifier::new(&key.public().to_string()).unwrap())]);
        let note = Note::from_bytes(key.sign(&text).as_bytes()).unwrap();
        prop_assert_eq!(note.verify(&known).unwrap().0.len(), 1);
        let read = tlog_tiles::Checkpoint::from_bytes(note.text()).unwrap();
        prop_assert_eq!((read.origin(), read.size(), read.hash().0), (name.as_str(), u64::from(size), root));
        prop_assert!(read.extension().starts_with("time "));

        let mut theirs = Note::new(text.as_bytes(), &[]).unwrap();
        let signer = StandardSigner::new(&key.secret()).unwrap();
        theirs.add_sigs(&[&signer]).unwrap();
        let theirs = String::from_utf8(theirs.to_bytes()).unwrap();
        prop_assert_eq!(&theirs, &key.sign(&text));
        prop_assert_eq!(Checkpoint::parse(key.public().open(&theirs).unwrap()).unwrap(), checkpoint);

        // Neither believes another text, nor another key.
        let other = PrivateKey::new(&name, [seed[0] ^ 1; 32]).unwrap().public();
        let forged = theirs.replacen(&name, &format!("{name}x"), 1);
        prop_assert!(Note::from_bytes(forged.as_bytes()).unwrap().verify(&known).is_err() && key.public().open(&forged).is_err());
        prop_assert!(other.open(&theirs).is_err() && PublicKey::parse(&other.to_string()).is_ok());
    }
}
